// A tool call as it grows: raw arguments, what they mean so far, what the tool answered.

import { GrowingText, h, icon, put } from "./dom.js";
import { partialJson } from "./partial.js";

const STATES = {
  writing: "writing arguments",
  ready: "ready",
  running: "running",
  done: "done",
  failed: "failed",
};
const MAX_ROWS = 12;
// Arguments that are larger are told as they are.
const MAX_PARSED = 20_000;

export class CallView {
  constructor(call) {
    this.call = call;
    this.name = h("span", { class: "call-name" });
    this.state = h("span", { class: "call-state" });
    const raw = h("code");
    this.raw = new GrowingText(raw);
    this.table = h("tbody");
    this.result = h("pre", { class: "call-result", hidden: true, tabindex: "0" });
    this.parsed = -1;
    this.element = h(
      "section",
      { class: "call", "aria-label": "Tool call" },
      h("header", {}, icon("tool"), this.name, this.state),
      h("div", { class: "call-body" }, h("pre", { class: "call-raw", tabindex: "0" }, raw), h("table", { class: "call-table" }, this.table)),
      this.result,
    );
  }

  update() {
    const { call } = this;
    if (this.shown === call.status && this.parsed === call.args.length) return;
    this.shown = call.status;
    put(this.name, call.name || "…");
    const seconds = call.seconds === null ? "" : ` in ${call.seconds.toFixed(1)} s`;
    put(this.state, STATES[call.status] + seconds);
    this.element.dataset.state = call.status;
    this.raw.show(call.args);
    this.#parse(call.args);
    if (call.result !== null && this.result.hidden) {
      this.result.hidden = false;
      new GrowingText(this.result).show(call.result);
    }
  }

  #parse(text) {
    if (this.parsed === text.length || text.length > MAX_PARSED) return;
    this.parsed = text.length;
    const value = partialJson(text);
    if (value === null || typeof value !== "object") return;
    const rows = Object.entries(value).slice(0, MAX_ROWS);
    this.table.replaceChildren(
      ...rows.map(([key, each]) =>
        h("tr", {}, h("th", { scope: "row", text: key }), h("td", { text: typeof each === "string" ? each : JSON.stringify(each) })),
      ),
    );
  }
}
