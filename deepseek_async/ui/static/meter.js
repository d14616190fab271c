// Figures of an answer and of a conversation.

import { $, put } from "./dom.js";

const NONE = "–";
const POINTS = 60;

export const count = (number) => (number === null || number === undefined ? NONE : Math.round(number).toLocaleString("en"));
export const seconds = (value) => (value === null || value === undefined ? NONE : value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`);
export const percent = (part, whole) => (whole ? `${Math.round((100 * part) / whole)} %` : NONE);

export function dollars(value) {
  if (value === null || value === undefined) return NONE;
  if (value === 0) return "$0";
  return value < 0.01 ? `$${value.toPrecision(2).replace(/e-(\d+)$/, "e-$1")}` : `$${value.toFixed(2)}`;
}

const cached = (usage) => usage.prompt_cache_hit_tokens ?? usage.prompt_tokens_details?.cached_tokens ?? 0;
const reasoned = (usage) => usage.completion_tokens_details?.reasoning_tokens ?? 0;

/** Return one line about an answer that has ended. */
export function line(answer) {
  const { usage } = answer;
  const parts = [];
  if (usage) parts.push(`${count(usage.completion_tokens)} tokens`);
  if (answer.rate) parts.push(`${answer.rate.toFixed(0)} tokens/s`);
  if (answer.first !== null && answer.first !== undefined) parts.push(`first after ${seconds(answer.first)}`);
  if (usage && cached(usage)) parts.push(`${percent(cached(usage), usage.prompt_tokens)} from cache`);
  if (answer.cost !== null) parts.push(dollars(answer.cost));
  return parts.join(" · ");
}

/** The figures at the side. */
export class Meter {
  constructor() {
    this.rates = null;
    this.simulated = false;
    this.points = [];
    this.pointAt = 0;
  }

  /** Show an answer; null: none. */
  show(answer) {
    const usage = answer?.usage ?? null;
    const running = Boolean(answer?.running);
    const rate = answer?.rate ?? null;
    put($("m-rate"), rate === null ? NONE : rate.toFixed(0));
    put($("m-first"), seconds(answer?.first));
    put($("m-prompt"), usage ? count(usage.prompt_tokens) : NONE);
    put($("m-completion"), usage ? count(usage.completion_tokens) : running && answer.tokens ? `≈ ${count(answer.tokens)}` : NONE);
    put($("m-reasoning"), usage ? count(reasoned(usage)) : NONE);
    put($("m-cost"), this.#cost(answer, running));
    const hits = usage ? cached(usage) : 0;
    put($("m-cache"), usage ? `${percent(hits, usage.prompt_tokens)} of ${count(usage.prompt_tokens)}` : NONE);
    $("m-bar").style.inlineSize = usage?.prompt_tokens ? `${(100 * hits) / usage.prompt_tokens}%` : "0";
    this.#spark(rate, running);
  }

  /** Show the sums of a conversation. */
  sum(answers) {
    const used = answers.map((answer) => answer.usage).filter(Boolean);
    const total = (of) => used.reduce((sum, usage) => sum + of(usage), 0);
    const prompt = total((usage) => usage.prompt_tokens);
    const costs = answers.map((answer) => answer.cost).filter((cost) => cost !== null);
    put($("c-answers"), String(answers.length));
    put($("c-tokens"), used.length ? `${count(prompt)} / ${count(total((usage) => usage.completion_tokens))}` : NONE);
    put($("c-cache"), used.length ? percent(total(cached), prompt) : NONE);
    put($("c-cost"), costs.length ? dollars(costs.reduce((sum, cost) => sum + cost, 0)) : NONE);
    put($("c-note"), this.simulated ? "Simulated: DeepSeek's prices, nothing billed." : "");
  }

  #cost(answer, running) {
    if (!running) return dollars(answer?.cost);
    if (!this.rates || !answer.tokens) return NONE;
    return `≈ ${dollars((answer.tokens * this.rates.output) / 1e6)}`;
  }

  #spark(rate, running) {
    const now = performance.now();
    if (!running && !this.points.length) return;
    if (running && now - this.pointAt > 250) {
      this.pointAt = now;
      this.points.push(rate ?? 0);
      if (this.points.length > POINTS) this.points.shift();
    }
    const top = Math.max(20, ...this.points) * 1.1;
    const step = 120 / (POINTS - 1);
    const shift = POINTS - this.points.length;
    const points = this.points.map((point, i) => `${((shift + i) * step).toFixed(1)},${(27 - (26 * point) / top).toFixed(1)}`);
    $("spark").firstElementChild.setAttribute("points", points.join(" "));
  }

  /** A new answer begins. */
  begin() {
    this.points = [];
    $("spark").firstElementChild.setAttribute("points", "");
  }
}
