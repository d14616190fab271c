// One question and its answer, as they are seen.

import { Answer } from "./answer.js";
import { CallView } from "./calls.js";
import { copyButton, GrowingText, h, icon, put } from "./dom.js";
import { GrowingMarkdown } from "./markdown.js";
import { line, seconds } from "./meter.js";

const FAILURES = {
  busy: "The service is busy.",
  broken: "The answer broke off.",
  invalid: "The question could not be processed.",
  refused: "The service refused the request.",
  stalled: "The answer stopped coming.",
  timeout: "The answer took too long.",
  too_long: "The answer is too long.",
  lost: "The connection to the answer was lost.",
  forgotten: "The server has forgotten this answer.",
};
const ENDINGS = {
  length: "The answer was cut off: it reached the most tokens it may have.",
  content_filter: "The answer was cut off by a content filter.",
  insufficient_system_resource: "The server gave up in the middle of the answer.",
};
const STOPS = {
  stopped: "Stopped.",
  left: "Stopped: nobody was reading any more.",
  drained: "Stopped: the server was shut down.",
};

export class TurnView {
  constructor(turn, { onRetry }) {
    this.run = turn.run;
    this.onRetry = onRetry;
    this.model = turn.question.model;
    this.answer = new Answer();
    this.answer.first = turn.first_seconds;
    this.parts = [];
    this.badge = h("p", { class: "queue", hidden: true });
    this.body = h("div", { class: "answer-body" });
    this.notice = h("p", { class: "notice", hidden: true });
    this.meter = h("span", { class: "line" });
    this.retry = h("button", { type: "button", class: "icon small", "aria-label": "Ask again", title: "Ask again (r)", on: { click: onRetry } }, icon("retry"));
    this.foot = h("footer", { hidden: true }, this.meter, h("span", { class: "gap" }), copyButton("Copy answer", () => this.answer.text), this.retry);
    this.wait = h("p", { class: "pending" }, h("i"), h("i"), h("i"));
    const question = h("div", { class: "question", dir: "auto" });
    new GrowingText(question).show(turn.question.text);
    this.element = h("article", { class: "turn" }, question, h("div", { class: "answer" }, this.badge, this.body, this.wait, this.notice, this.foot));
    if (turn.told) {
      this.answer.apply(turn.told, false);
      this.answer.writing = turn.writing_seconds;
    }
  }

  /** Take in what the page already knew before: timing that only the server can have measured. */
  time(turn) {
    this.answer.first ??= turn.first_seconds;
    if (turn.writing_seconds) this.answer.writing = turn.writing_seconds;
  }

  /** Begin anew: everything follows. */
  forget() {
    this.parts = [];
    this.body.replaceChildren();
  }

  update() {
    const { answer } = this;
    this.#showQueue(answer.queued);
    for (let i = Math.max(0, this.parts.length - 1); i < answer.parts.length; i += 1) {
      const part = answer.parts[i];
      this.parts[i] ??= this.#makePart(part, i);
      this.parts[i].update(i === answer.parts.length - 1 && answer.running);
    }
    for (const part of this.parts) if (part instanceof CallView) part.update();
    this.wait.hidden = !answer.running || answer.queued !== null || this.#isWriting();
    this.element.dataset.running = answer.running;
    if (!answer.running) this.#end();
  }

  #isWriting() {
    const last = this.answer.parts.at(-1);
    return last !== undefined && (last.kind !== "call" || last.status === "writing" || last.status === "running");
  }

  #showQueue(seconds) {
    this.badge.hidden = seconds === null;
    if (seconds !== null) put(this.badge, `Waiting ${Math.round(seconds)} s in DeepSeek's queue`);
  }

  #makePart(part) {
    const made = { text: TextPart, reasoning: ReasoningPart, call: CallView }[part.kind];
    const view = new made(part);
    this.body.append(view.element);
    return view;
  }

  #end() {
    const { done } = this.answer;
    let text = null;
    if (done.status === "failed") text = FAILURES[done.kind] ?? "Something went wrong.";
    else if (done.status === "stopped") text = STOPS[done.reason] ?? STOPS.stopped;
    else text = ENDINGS[done.finish_reason] ?? null;
    this.notice.hidden = text === null;
    this.notice.dataset.status = done.status;
    if (text !== null && !this.notice.childElementCount) {
      const detail = done.message && done.message !== text ? h("small", { text: done.message }) : null;
      const retry = done.status === "failed" ? h("button", { type: "button", class: "button small", text: "Ask again", on: { click: this.onRetry } }) : null;
      const parts = [icon(done.status === "stopped" ? "stop" : "alert"), h("span", {}, text, detail ?? ""), retry];
      this.notice.replaceChildren(...parts.filter(Boolean));
    }
    this.foot.hidden = false;
    put(this.meter, line(this.answer));
  }
}

class TextPart {
  constructor(part) {
    this.part = part;
    this.element = h("div", { class: "prose" });
    this.view = new GrowingMarkdown(this.element);
  }

  update(growing) {
    this.view.show(this.part.text, growing);
  }
}

class ReasoningPart {
  constructor(part) {
    this.part = part;
    this.title = h("span");
    const text = h("div", { class: "reasoning-text", dir: "auto" });
    this.view = new GrowingText(text);
    this.inner = text;
    this.element = h("details", { class: "reasoning", open: true }, h("summary", {}, icon("chevron"), this.title), text);
    this.touched = false;
    this.element.querySelector("summary").addEventListener("click", () => (this.touched = true));
  }

  update(growing) {
    this.view.show(this.part.text);
    this.element.dataset.growing = growing;
    put(this.title, growing ? "Thinking" : `Thought${this.#seconds()}`);
    if (growing) this.inner.scrollTop = this.inner.scrollHeight;
    else if (!this.touched && !this.folded) {
      // Out of the way, now that the answer comes; unless somebody is reading it.
      this.folded = true;
      this.element.open = false;
    }
  }

  /** For how long, if the page was there. */
  #seconds() {
    const { since, until } = this.part;
    const taken = since === null || until === null ? 0 : until - since;
    return taken > 0.2 ? ` for ${seconds(taken)}` : "";
  }
}
