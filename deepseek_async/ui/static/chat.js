// The conversation: asks, follows the answer that is being written, and shows the others.

import { api, ApiError } from "./api.js";
import { $, h, icon, put, say } from "./dom.js";
import { Link } from "./link.js";
import { paint } from "./paint.js";
import { Follower } from "./scroll.js";
import { STARTERS } from "./starters.js";
import { Connection } from "./stream.js";
import { TurnView } from "./turn.js";

const LAST = "deepseek-ui:conversation";

export class Chat {
  constructor({ meter, wire, banner }) {
    this.meter = meter;
    this.wire = wire;
    this.banner = banner;
    this.id = null;
    this.turns = [];
    this.beginning = false;
    this.connection = null;
    this.link = new Link();
    this.follower = new Follower($("scroll"), $("jump"));
    // Other tabs of this browser, which may show the same conversation.
    this.tabs = new BroadcastChannel("deepseek-ui");
    this.tabs.onmessage = ({ data }) => this.#changedElsewhere(data);
  }

  get current() {
    return this.turns.at(-1) ?? null;
  }

  get running() {
    return this.current?.answer.running ?? false;
  }

  /** Show a conversation, or an empty page for null. */
  async open(id) {
    this.#leave();
    this.id = id;
    this.turns = [];
    $("log").replaceChildren();
    if (id !== null) {
      try {
        const conversation = await api(`/api/conversations/${encodeURIComponent(id)}`);
        if (this.id !== id) return;
        for (const turn of conversation.turns) this.#add(turn);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        this.id = null;
        forgetLast();
        if (error.status !== 404) this.banner(error.message);
      }
    }
    if (this.id !== null) rememberLast(this.id);
    location.replace(`#/chat${this.id === null ? "" : `/${this.id}`}`);
    if (this.running) this.#follow(this.current);
    this.update();
    if (this.turns.length) this.follower.toEnd();
    this.list();
  }

  /** The conversation that was shown last, by this tab or another one. */
  static last() {
    try {
      return sessionStorage.getItem(LAST) ?? localStorage.getItem(LAST);
    } catch {
      return null;
    }
  }

  async ask(text, options) {
    const question = { text, ...options, conversation: this.id };
    return this.#begin(() => api("/api/ask", { method: "POST", body: question }));
  }

  async retry() {
    if (this.id === null || this.running || !this.current) return;
    await this.#begin(() => api(`/api/conversations/${this.id}/retry`, { method: "POST" }), () => {
      this.turns.pop().element.remove();
    });
  }

  async stop() {
    if (!this.running) return;
    try {
      await api(`/runs/${this.current.run}/stop`, { method: "POST" });
    } catch (error) {
      this.banner(error.message);
    }
  }

  async remove(id) {
    try {
      await api(`/api/conversations/${encodeURIComponent(id)}`, { method: "DELETE" });
    } catch (error) {
      this.banner(error.message);
    }
    this.tabs.postMessage({ removed: id });
    if (id === this.id) await this.open(null);
    else await this.list();
  }

  cut() {
    this.connection?.cut();
  }

  freeze() {
    this.connection?.freeze();
  }

  /** Show the list of conversations. */
  async list() {
    let conversations;
    try {
      conversations = await api("/api/conversations");
    } catch {
      return;
    }
    $("conversations").replaceChildren(
      ...conversations.map(({ id, title, running }) =>
        h(
          "li",
          { class: id === this.id ? "current" : "" },
          h("a", { href: `#/chat/${id}`, text: title || "Empty", dir: "auto", "aria-current": id === this.id ? "page" : null, "data-running": running }),
          h("button", { class: "icon small", "aria-label": `Forget ${title}`, title: "Forget", on: { click: () => this.remove(id) } }, icon("trash")),
        ),
      ),
    );
  }

  /** Bring the page up to date with the data. */
  update() {
    const { current, running } = this;
    $("empty").hidden = this.turns.length > 0;
    $("send").hidden = running;
    $("stop").hidden = !running;
    $("cut").disabled = $("freeze").disabled = !running;
    current?.update();
    this.meter.show(current?.answer ?? null);
    this.meter.sum(this.turns.map((turn) => turn.answer));
    this.link.show(current?.answer ?? null, this.connection);
    if (current) this.follower.grown();
  }

  fillStarters(simulated, pick) {
    const fitting = STARTERS.filter(({ made }) => simulated || !made);
    $("starters").replaceChildren(
      ...fitting.map((starter) =>
        h(
          "li",
          {},
          h("button", { type: "button", on: { click: () => pick(starter) } }, h("span", { text: starter.text }), h("small", { text: starter.shows })),
        ),
      ),
    );
  }

  async #begin(send, before = () => {}) {
    // The key may be pressed again before the first request is answered.
    if (this.beginning) return false;
    this.beginning = true;
    try {
      const { id, turn } = await send();
      before();
      this.#leave();
      this.id = id;
      rememberLast(id);
      location.replace(`#/chat/${id}`);
      this.#follow(this.#add(turn));
      this.update();
      this.follower.toEnd();
      say("Asked");
      this.list();
      this.tabs.postMessage({ conversation: id, run: turn.run });
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.banner(error.message);
      return false;
    } finally {
      this.beginning = false;
    }
  }

  #add(turn) {
    const view = new TurnView(turn, { onRetry: () => this.retry() });
    // Only the last question can be asked again.
    for (const other of this.turns) other.retry.hidden = true;
    this.turns.push(view);
    $("log").append(view.element);
    view.update();
    return view;
  }

  #follow(view) {
    const { answer } = view;
    view.late = view.answer.first !== null;
    this.meter.begin();
    this.wire.begin(view.run);
    const events = {
      onEvent: (event) => this.#take(view, event),
      onState: (state, failures) => this.#state(view, state, failures),
    };
    const connection = new Connection((signal) => {
      const headers = answer.cursor === null ? {} : { "Last-Event-ID": answer.cursor };
      return fetch(`/runs/${view.run}/events`, { headers, signal });
    }, events);
    connection.runId = view.run;
    this.connection = connection;
    connection.run();
  }

  #take(view, event) {
    this.wire.native(view.run, event);
    if (event.data === null) return false;
    const message = JSON.parse(event.data);
    if (message.reset) view.forget();
    view.answer.apply(message);
    if (event.id !== null) view.answer.cursor = event.id;
    if (message.drain) this.banner("The server is shutting down.");
    paint(this.painter);
    return Boolean(message.done);
  }

  painter = () => this.update();

  #state(view, state, failures) {
    if (view !== this.current) return;
    this.link.state(state);
    if (state === "live") this.banner(null);
    if (state === "waiting" && failures >= 3) this.banner("The server does not answer. Trying again …");
    if (state === "locked") this.banner("This page belongs to a server that was started anew: open the address on its terminal.");
    if (state === "gone") view.answer.done = { status: "failed", kind: "forgotten" };
    if (state === "ended" || state === "gone") this.#ended(view);
    paint(this.painter);
  }

  async #ended(view) {
    const { status } = view.answer.done ?? {};
    say({ done: "Answer complete", stopped: "Stopped", failed: "The answer failed" }[status] ?? "");
    this.list();
    if (!view.late && !view.answer.lost && this.connection?.resumed === 0) return;
    // How long it took was not all seen here.
    try {
      const conversation = await api(`/api/conversations/${this.id}`);
      const turn = conversation.turns.find(({ run }) => run === view.run);
      if (turn) view.time(turn);
      paint(this.painter);
    } catch {
      // Then the figures are those of what was seen.
    }
  }

  #leave() {
    this.connection?.close();
    this.connection = null;
    this.link.state("idle");
  }

  #changedElsewhere({ conversation, run, removed }) {
    if (removed !== undefined && removed === this.id) this.open(null);
    else if (conversation === this.id && this.current?.run !== run) this.open(conversation);
    else this.list();
  }
}

function rememberLast(id) {
  try {
    sessionStorage.setItem(LAST, id);
    localStorage.setItem(LAST, id);
  } catch {
    // The address has it too.
  }
}

function forgetLast() {
  try {
    sessionStorage.removeItem(LAST);
    localStorage.removeItem(LAST);
  } catch {
    // It will not be found, then.
  }
}
