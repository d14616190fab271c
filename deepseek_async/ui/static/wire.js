// The last events as they went over the wire, in any of the formats the server speaks.

import { $, h, put, visible } from "./dom.js";
import { paint } from "./paint.js";
import { Connection } from "./stream.js";

const FORMATS = [
  ["native", "native", "What this page reads: cursors as ids, exact positions."],
  ["openai", "openai", "The upstream's own chunks, byte for byte; of tool runs, as one answer."],
  ["ai-sdk", "ai-sdk", "UI message stream, as the AI SDK's useChat reads it."],
  ["ag-ui", "ag-ui", "Events of AG-UI."],
];
const KEPT = 20;
// More of one event is not worth showing.
const MAX_SHOWN = 4_000;

export class Wire {
  constructor() {
    this.format = "native";
    this.run = null;
    this.paused = false;
    this.events = [];
    this.number = 0;
    this.connection = null;
    for (const [value, label] of FORMATS) {
      const input = h("input", { type: "radio", name: "format", value, id: `format-${value}`, checked: value === this.format });
      input.addEventListener("change", () => this.#switch(value));
      $("formats").append(input, h("label", { for: `format-${value}`, text: label }));
    }
    this.#note();
    $("wire-pause").addEventListener("click", () => this.#pause());
  }

  get shown() {
    return !$("wire").hidden;
  }

  toggle(shown = !this.shown) {
    $("wire").hidden = !shown;
    $("toggle-wire").setAttribute("aria-pressed", String(shown));
    if (shown) this.#tap();
    else this.#close();
    paint(this.painter);
  }

  /** Another run is followed. */
  begin(run) {
    this.run = run;
    this.#clear();
    if (this.shown) this.#tap();
  }

  /** An event of the page's own connection. */
  native(run, event) {
    if (run === this.run && this.format === "native") this.#add(event.raw);
  }

  #switch(format) {
    this.format = format;
    this.#note();
    this.#clear();
    this.#tap();
  }

  /** Read the run in another format; it is one more reader. */
  #tap() {
    this.#close();
    if (!this.run || this.format === "native") return;
    const { run, format } = this;
    let cursor = null;
    this.connection = new Connection(
      (signal) => fetch(`/runs/${run}/events?format=${format}`, { signal, headers: cursor ? { "Last-Event-ID": cursor } : {} }),
      {
        onEvent: (event) => {
          cursor = event.id ?? cursor;
          this.#add(event.raw);
          return event.data === "[DONE]" || /"type":"RUN_(FINISHED|ERROR)"/.test(event.data ?? "");
        },
        onState: () => {},
      },
    );
    this.connection.run();
  }

  #close() {
    this.connection?.close();
    this.connection = null;
  }

  #clear() {
    this.events = [];
    this.number = 0;
    paint(this.painter);
  }

  #add(raw) {
    this.number += 1;
    if (this.paused) return;
    this.events.push({ number: this.number, raw, element: null });
    if (this.events.length > KEPT) this.events.shift();
    if (this.shown) paint(this.painter);
  }

  painter = () => {
    if (!this.shown) return;
    for (const event of this.events) event.element ??= show(event);
    $("events").replaceChildren(...this.events.map(({ element }) => element).reverse());
    if (!this.events.length) $("events").append(h("li", { class: "nothing", text: "Nothing yet: ask something." }));
  };

  #pause() {
    this.paused = !this.paused;
    $("wire-pause").setAttribute("aria-pressed", String(this.paused));
    put($("wire-pause").querySelector("span"), this.paused ? "Go on" : "Pause");
  }

  #note() {
    put($("wire-note"), FORMATS.find(([value]) => value === this.format)[2]);
  }
}

function show({ number, raw }) {
  const text = raw.length > MAX_SHOWN ? `${raw.slice(0, MAX_SHOWN)} …` : raw;
  const lines = text.split("\n").flatMap((line, index) => {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon + 1);
    return [index ? "\n" : "", h("b", { text: name }), visible(line.slice(colon + 1))];
  });
  return h("li", {}, h("span", { class: "number", text: `#${number}` }), h("pre", {}, ...lines));
}
