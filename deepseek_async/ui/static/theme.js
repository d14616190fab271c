// Before the first paint: the theme that was chosen, or else the system's, whenever that changes.
{
  const system = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    let chosen = null;
    try {
      chosen = localStorage.getItem("deepseek-ui:theme");
    } catch {
      // Storage may be switched off.
    }
    const theme = system.matches ? "dark" : "light";
    document.documentElement.dataset.theme = ["dark", "light"].includes(chosen) ? chosen : theme;
  };
  paint();
  system.addEventListener("change", paint);
}
