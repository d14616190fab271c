// The state of the connection, and who else reads.

import { api } from "./api.js";
import { $, put } from "./dom.js";

const NAMES = {
  idle: "idle",
  connecting: "connecting",
  live: "live",
  waiting: "reconnecting",
  frozen: "frozen: not reading",
  ended: "complete",
  gone: "nothing to read",
  locked: "locked out",
};
const EVERY = 1000;

export class Link {
  constructor() {
    this.run = null;
    this.polling = false;
    setInterval(() => this.#poll(), EVERY);
  }

  state(state) {
    put($("n-state"), NAMES[state] ?? state);
    $("n-dot").dataset.state = state;
    this.live = state === "live" || state === "frozen" || state === "waiting";
    if (!this.live) put($("n-readers"), "–");
    else if (state === "live") this.#poll();
  }

  show(answer, connection) {
    put($("n-position"), answer ? answer.position.toLocaleString("en") : "–");
    put($("n-resumed"), String(connection?.resumed ?? 0));
    put($("n-check"), answer ? `${answer.lost} / ${answer.doubled}` : "0 / 0");
    $("n-check").dataset.bad = Boolean(answer && (answer.lost || answer.doubled));
    this.run = connection ? connection.runId : null;
  }

  async #poll() {
    if (!this.live || !this.run || this.polling || document.hidden) return;
    this.polling = true;
    try {
      const { readers } = await api(`/api/vitals?run=${encodeURIComponent(this.run)}`);
      if (this.live) put($("n-readers"), readers === null ? "–" : String(readers));
    } catch {
      put($("n-readers"), "–");
    } finally {
      this.polling = false;
    }
  }
}
