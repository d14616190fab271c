// The page as a whole: views, panels, keys, and what the others need to begin with.

import { api, ApiError } from "./api.js";
import { Chat } from "./chat.js";
import { $, h, icon, put } from "./dom.js";
import { Grid } from "./grid.js";
import { Meter } from "./meter.js";
import { figures, paintsPerSecond } from "./paint.js";
import { STARTERS } from "./starters.js";
import { Wire } from "./wire.js";

const SETTINGS = "deepseek-ui:settings";
const meter = new Meter();
const wire = new Wire();
const chat = new Chat({ meter, wire, banner });
const grid = new Grid({ banner });

function banner(text) {
  $("banner").hidden = text === null;
  if (text === null) return;
  const close = h("button", { class: "icon small", "aria-label": "Dismiss", on: { click: () => banner(null) } }, icon("close"));
  $("banner").replaceChildren(icon("alert"), h("span", { text }), close);
}

// Views

function route() {
  const [, view = "chat", id = null] = location.hash.split("/");
  const isGrid = view === "grid";
  document.body.dataset.view = isGrid ? "grid" : "chat";
  $("view-chat").hidden = isGrid;
  $("view-grid").hidden = !isGrid;
  mark($("tab-grid"), isGrid);
  mark($("tab-chat"), !isGrid);
  $("tab-chat").href = chat.id === null ? "#/chat" : `#/chat/${chat.id}`;
  closePanels();
  if (isGrid) grid.join();
  else if (id !== null && id !== chat.id) chat.open(id);
}

function mark(tab, isCurrent) {
  if (isCurrent) tab.setAttribute("aria-current", "page");
  else tab.removeAttribute("aria-current");
}

const openPanels = () => ["side", "rail"].filter((name) => $(name).dataset.open === "true");

function openPanel(name) {
  $(name).dataset.open = "true";
  $("shade").hidden = false;
}

function closePanels() {
  for (const name of ["side", "rail"]) $(name).dataset.open = "false";
  $("shade").hidden = true;
}

// Asking

const question = $("question");

function options() {
  return {
    model: $("model").value,
    effort: $("effort").value,
    system: $("system").value,
    tools: $("tools").checked,
    on_leave: $("continue").checked ? "continue" : "cancel",
  };
}

async function submit() {
  const text = question.value.trim();
  if (!text || chat.running) return;
  saveSettings();
  if (await chat.ask(text, options())) question.value = "";
  fit();
}

async function pick({ text, tools = false }) {
  if (chat.running) return;
  if (tools) $("tools").checked = true;
  await chat.ask(text, options());
  question.focus({ preventScroll: true });
}

async function newChat() {
  await chat.open(null);
  closePanels();
  location.hash = "#/chat";
  question.focus();
}

/** As many lines as the question has, up to a third of the page. */
function fit() {
  question.style.blockSize = "auto";
  question.style.blockSize = `${Math.min(question.scrollHeight, innerHeight / 3)}px`;
}

function saveSettings() {
  try {
    localStorage.setItem(SETTINGS, JSON.stringify(options()));
  } catch {
    // For this time only, then.
  }
}

function loadSettings() {
  try {
    const saved = JSON.parse(localStorage.getItem(SETTINGS) ?? "{}");
    if ([...$("effort").options].some(({ value }) => value === saved.effort)) $("effort").value = saved.effort;
    $("tools").checked = saved.tools === true;
    $("continue").checked = saved.on_leave === "continue";
    if (typeof saved.system === "string" && saved.system) {
      $("system").value = saved.system;
      toggleSystem(true);
    }
    return saved.model;
  } catch {
    return undefined;
  }
}

function toggleSystem(shown = $("system-row").hidden) {
  $("system-row").hidden = !shown;
  $("toggle-system").setAttribute("aria-expanded", String(shown));
  if (!shown) $("system").value = "";
}

// Theme

function toggleTheme() {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("deepseek-ui:theme", root.dataset.theme);
  } catch {
    // Until the next visit.
  }
}

// Keys

const KEYS = {
  "/": () => question.focus(),
  "?": () => $("help").showModal(),
  n: newChat,
  r: () => chat.retry(),
  x: () => chat.cut(),
  f: () => chat.freeze(),
  c: () => (location.hash = $("tab-chat").hash),
  g: () => (location.hash = "#/grid"),
  w: () => wire.toggle(),
  t: toggleTheme,
};

function key(event) {
  if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  if (event.key === "Escape") {
    if (openPanels().length) closePanels();
    else if (document.body.dataset.view === "grid") grid.stop();
    else chat.stop();
    return;
  }
  if (event.target.closest("input, textarea, select")) return;
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function listen() {
  const click = (id, listener) => $(id).addEventListener("click", listener);
  addEventListener("hashchange", route);
  addEventListener("keydown", key);
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  question.addEventListener("input", fit);
  question.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  click("stop", () => chat.stop());
  click("cut", () => chat.cut());
  click("freeze", () => chat.freeze());
  click("new-chat", newChat);
  click("toggle-system", () => toggleSystem());
  click("toggle-wire", () => wire.toggle());
  click("wire-close", () => wire.toggle(false));
  click("toggle-theme", toggleTheme);
  click("open-help", () => $("help").showModal());
  click("close-help", () => $("help").close());
  click("open-side", () => openPanel("side"));
  click("open-rail", () => openPanel("rail"));
  click("shade", closePanels);
  $("conversations").addEventListener("click", closePanels);
}

// Beginning

async function listModels(first, saved) {
  const fill = (models) => $("model").replaceChildren(...models.map((name) => h("option", { value: name, text: name })));
  fill([first]);
  try {
    fill(await api("/api/models"));
  } catch {
    return;
  }
  if ([...$("model").options].some(({ value }) => value === saved)) $("model").value = saved;
}

async function begin() {
  listen();
  const saved = loadSettings();
  let hello;
  try {
    hello = await api("/api/hello");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    banner(error.message);
    return;
  }
  put($("server"), hello.simulated ? "simulator" : new URL(hello.server).host);
  $("server").dataset.simulated = hello.simulated;
  put($("about"), `${hello.version} · ${hello.simulated ? "made-up answers, nothing billed" : "real answers, billed to your key"}`);
  meter.rates = hello.rates;
  meter.simulated = hello.simulated;
  grid.prepare(hello);
  chat.fillStarters(hello.simulated, pick);
  listModels(hello.model, saved);
  const [, view, id] = location.hash.split("/");
  if (view === "grid") {
    route();
    await chat.list();
  } else {
    await chat.open(id ?? Chat.last());
    route();
    if (hello.greet && chat.id === null) pick(STARTERS[0]);
    else if (matchMedia("(min-width: 760px)").matches) question.focus();
  }
}

// For the tests, and for whoever opens the console.
globalThis.ui = { chat, grid, wire, figures, paintsPerSecond };
begin();
