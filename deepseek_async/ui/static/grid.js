// Many answers on one connection, each in a card of its own.

import { Answer } from "./answer.js";
import { api, ApiError } from "./api.js";
import { $, h, put, say, visible } from "./dom.js";
import { figures, paint, paintsPerSecond } from "./paint.js";
import { seconds } from "./meter.js";
import { Connection } from "./stream.js";

const SIZES = [8, 48, 200];
// A card shows the end of its text; when what it holds is twice as long, the beginning goes. By its size.
const SHOWN = { large: 700, medium: 320, small: 160 };
const EVERY = 500;

class Card {
  constructor(run, number, shown) {
    this.run = run;
    this.shown = shown;
    this.answer = new Answer();
    this.length = 0;
    this.node = document.createTextNode("");
    this.rate = h("span");
    this.element = h(
      "article",
      { class: "card", "data-state": "queued" },
      h("header", {}, h("b", { text: `#${number}` }), this.rate),
      h("div", { class: "card-text" }, h("p", {}, this.node)),
    );
  }

  painter = () => {
    const { text } = this.answer;
    if (text.length < this.length) this.#clear();
    this.node.appendData(visible(text.slice(this.length)));
    this.length = text.length;
    if (this.node.length > 2 * this.shown) this.#shorten();
    const state = this.answer.done?.status ?? (text ? "running" : "queued");
    if (this.element.dataset.state !== state) this.element.dataset.state = state;
  };

  showRate() {
    const { rate, done } = this.answer;
    const state = done && done.status !== "done" ? done.status : "";
    put(this.rate, state || (rate === null ? "" : `${rate.toFixed(0)}/s`));
  }

  #shorten() {
    const { data } = this.node;
    let start = data.length - this.shown;
    // Not within a character.
    const code = data.charCodeAt(start);
    if (code >= 0xdc00 && code < 0xe000) start += 1;
    this.node.deleteData(0, start);
  }

  #clear() {
    this.length = 0;
    this.node.data = "";
  }
}

export class Grid {
  constructor({ banner }) {
    this.banner = banner;
    this.cards = new Map();
    this.connection = null;
    this.size = SIZES[1];
    this.confirmed = true;
    this.state = "idle";
    $("grid-start").addEventListener("click", () => this.start());
    $("grid-stop").addEventListener("click", () => this.stop());
    setInterval(() => this.#tick(), EVERY);
  }

  /** Begin: sizes as this server allows, and a warning where they cost money. */
  prepare({ streams, simulated, model }) {
    this.model = model;
    this.simulated = simulated;
    const sizes = SIZES.filter((size) => size <= streams);
    this.size = Math.min(this.size, sizes.at(-1) ?? 1);
    for (const size of sizes) {
      const input = h("input", { type: "radio", name: "size", value: size, id: `size-${size}`, checked: size === this.size });
      input.addEventListener("change", () => {
        this.size = size;
        this.#ask();
      });
      $("grid-sizes").append(input, h("label", { for: `size-${size}`, text: String(size) }));
    }
    this.#ask();
  }

  get running() {
    for (const { answer } of this.cards.values()) if (answer.running) return true;
    return false;
  }

  /** Show what runs already, started by another tab or before a reload. */
  async join() {
    if (this.connection) return;
    try {
      const { runs } = await api("/api/grid");
      if (runs.length && !this.connection) this.#follow(runs);
    } catch (error) {
      if (error instanceof ApiError) this.banner(error.message);
    }
  }

  async start() {
    if (!this.confirmed) {
      this.confirmed = true;
      put($("grid-start"), `Send ${this.size} requests`);
      put($("grid-note"), `${this.size} real requests of about 200 tokens each, billed to your key. Press again to send them.`);
      return;
    }
    figures.longTasks = 0;
    try {
      const { runs } = await api("/api/grid", { method: "POST", body: { streams: this.size, model: this.model } });
      this.#follow(runs);
      say(`${runs.length} streams started`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.banner(error.message);
    }
    this.#ask();
  }

  async stop() {
    try {
      await api("/api/grid/stop", { method: "POST" });
      say("All streams stopped");
    } catch (error) {
      this.banner(error.message);
    }
  }

  #ask() {
    this.confirmed = this.simulated;
    put($("grid-start"), "Start");
    put($("grid-note"), this.simulated ? "" : "Each stream is a request that your key pays for.");
  }

  #follow(runs) {
    this.connection?.close();
    const size = runs.length > 100 ? "small" : runs.length > 12 ? "medium" : "large";
    this.cards = new Map(runs.map((run, index) => [run, new Card(run, index + 1, SHOWN[size])]));
    $("cards").dataset.size = size;
    $("cards").replaceChildren(...[...this.cards.values()].map(({ element }) => element));
    $("grid-empty").hidden = true;
    this.connection = new Connection((signal) => this.#request(signal), {
      onEvent: (event) => this.#take(event),
      onState: (state) => {
        this.state = state;
        if (state === "live") this.banner(null);
      },
    });
    this.connection.run();
    this.#tick();
  }

  #request(signal) {
    const wanted = [...this.cards.values()].filter(({ answer }) => answer.running);
    const cursors = Object.fromEntries(wanted.map(({ run, answer }) => [run, answer.cursor]));
    return fetch("/runs/mux", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ runs: cursors }),
      signal,
    });
  }

  #take({ data }) {
    if (data === null) return false;
    const message = JSON.parse(data);
    const card = this.cards.get(message.run);
    if (!card) return false;
    if (message.done?.status === "unknown") card.answer.done = { status: "gone" };
    else {
      card.answer.apply(message);
      card.answer.cursor = message.id ?? card.answer.cursor;
    }
    paint(card.painter);
    return Boolean(message.done) && !this.running;
  }

  async #tick() {
    if (!this.cards.size) return;
    let rate = 0;
    let streams = 0;
    let lost = 0;
    let doubled = 0;
    for (const card of this.cards.values()) {
      card.showRate();
      lost += card.answer.lost;
      doubled += card.answer.doubled;
      if (!card.answer.running) continue;
      streams += 1;
      rate += card.answer.rate ?? 0;
    }
    put($("g-streams"), `${streams} / ${this.cards.size}`);
    put($("g-rate"), streams ? Math.round(rate).toLocaleString("en") : "–");
    put($("g-paints"), String(paintsPerSecond()));
    put($("g-long"), String(figures.longTasks));
    put($("g-connections"), this.state === "live" ? "1" : "0");
    put($("g-check"), `${lost} / ${doubled}`);
    $("grid-stop").disabled = !streams;
    if (!$("view-grid").hidden && !document.hidden) await this.#vitals(streams);
  }

  async #vitals(streams) {
    if (!streams && this.told) return;
    this.told = !streams;
    try {
      const { lag, cpu } = await api("/api/vitals");
      put($("g-lag"), seconds(lag));
      put($("g-cpu"), `${Math.round(100 * cpu)} %`);
    } catch {
      put($("g-lag"), "–");
      put($("g-cpu"), "–");
    }
  }
}
