// An answer as it was told so far. It only takes in messages of the native format; what shows it reads it.

// Tokens of a character, about, until the server has counted.
const LATIN = 0.25;
const WIDE = 0.55;
const FIRST_WIDE = 0x2e80;
// Rates are told of the last so many seconds of the server's clock.
const WINDOW = 2;

// What was counted in the end, for each token that was estimated: the next estimates are the better.
let calibration = 1;

function calibrate(counted, estimated) {
  if (estimated > 50) calibration = Math.min(2, Math.max(0.5, (calibration * counted) / estimated));
}

export function estimate(text) {
  let wide = 0;
  for (let i = 0; i < text.length; i += 1) if (text.charCodeAt(i) >= FIRST_WIDE) wide += 1;
  return calibration * ((text.length - wide) * LATIN + wide * WIDE);
}

export class Answer {
  constructor() {
    this.lost = 0;
    this.doubled = 0;
    this.forget();
  }

  forget() {
    this.position = 0;
    this.cursor = null;
    /** Reasoning, text and tool calls in the order they came. */
    this.parts = [];
    this.text = "";
    this.reasoning = "";
    this.calls = new Map();
    this.queued = null;
    this.done = null;
    this.usage = null;
    this.cost = null;
    this.tokens = 0;
    this.first = null;
    this.writing = null;
    this.samples = [];
  }

  get running() {
    return this.done === null;
  }

  /** Take in a message; `counts` is false for one that came with the page, in one piece. */
  apply(message, counts = true) {
    if (message.reset) this.forget();
    this.#check(message);
    this.now = counts ? message.t : null;
    let tokens = 0;
    for (const [kind, value, ...rest] of message.d) tokens += this.#take(kind, value, rest);
    this.tokens += tokens;
    if (counts && tokens) this.#measure(message, tokens);
    if (message.done) {
      this.done = message.done;
      this.usage = message.usage ?? null;
      this.cost = message.cost ?? null;
      this.queued = null;
      if (counts && message.done.status === "done" && this.usage) calibrate(this.usage.completion_tokens, this.tokens);
    }
  }

  /** Tokens a second: of the last moments while it is written, of the whole when it is complete. */
  get rate() {
    if (!this.running) {
      const tokens = this.usage?.completion_tokens ?? this.tokens;
      return this.writing > 0.02 ? tokens / this.writing : null;
    }
    const [oldest] = this.samples;
    const newest = this.samples.at(-1);
    if (!oldest || newest.t - oldest.t < 0.1) return null;
    let sum = -oldest.tokens;
    for (const sample of this.samples) sum += sample.tokens;
    return sum / (newest.t - oldest.t);
  }

  #check(message) {
    const gap = message.from - this.position;
    if (gap > 0) this.lost += gap;
    else this.doubled -= gap;
    this.position = message.to;
  }

  #measure(message, tokens) {
    // What was missed in the meantime, and comes in one piece, tells nothing of the pace.
    const joined = message.from === 0 && message.to > 400;
    if (this.first === null && !joined) this.first = message.t;
    const last = this.samples.at(-1);
    if (last && message.t - last.t > 1) this.samples.length = 0;
    else if (last && this.writing !== null) this.writing += message.t - last.t;
    this.writing ??= 0;
    this.samples.push({ t: message.t, tokens });
    while (this.samples.length > 2 && message.t - this.samples[0].t > WINDOW) this.samples.shift();
  }

  #take(kind, value, rest) {
    switch (kind) {
      case "text":
        this.text += value;
        return this.#grow("text", value);
      case "reasoning":
        this.reasoning += value;
        return this.#grow("reasoning", value);
      case "queued":
        this.queued = value;
        return 0;
      case "tool.ready":
        return this.#change(value.id, { status: "ready" });
      case "tool.started":
        return this.#change(value.id, { status: "running", args: value.arguments, name: value.name });
      case "tool.done":
        return this.#change(value.id, {
          status: value.is_error ? "failed" : "done",
          result: value.content,
          seconds: value.seconds,
        });
      default:
        return kind.startsWith("tool:") ? this.#write(value, ...rest) : 0;
    }
  }

  #grow(kind, delta) {
    this.queued = null;
    let part = this.parts.at(-1);
    if (part?.kind !== kind) {
      part = { kind, text: "", since: this.now, until: null };
      this.parts.push(part);
    }
    part.text += delta;
    part.until = this.now;
    return estimate(delta);
  }

  /** More of the arguments of a call. */
  #write(delta, name, id) {
    this.queued = null;
    let call = this.calls.get(id);
    if (!call) {
      call = { kind: "call", id, name, args: "", status: "writing", result: null, seconds: null };
      this.calls.set(id, call);
      this.parts.push(call);
    }
    call.name = name || call.name;
    call.args += delta;
    return estimate(delta);
  }

  #change(id, changes) {
    const call = this.calls.get(id);
    if (call) Object.assign(call, changes);
    return 0;
  }
}
