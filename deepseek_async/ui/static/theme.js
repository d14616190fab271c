// Before the first paint: the theme that was chosen, if one was.
try {
  const theme = localStorage.getItem("deepseek-ui:theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be switched off; then the system's theme holds.
}
