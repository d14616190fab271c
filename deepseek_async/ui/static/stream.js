// A connection that server-sent events come over, and that comes back when it breaks.

const MAX_BUFFER = 16 << 20;
// Heartbeats come every 15 seconds; after two that are missing nothing is there any more.
const SILENCE = 40_000;
const DELAYS = [300, 700, 1500, 3000, 5000];

/** Splits what comes into events: `{id, data, raw}`; comments are events without data. */
export class EventSplitter {
  constructor() {
    this.decoder = new TextDecoder();
    this.buffer = "";
    this.searched = 0;
  }

  feed(bytes) {
    this.buffer += this.decoder.decode(bytes, { stream: true });
    if (this.buffer.length > MAX_BUFFER) throw new Error("an event is too large");
    const events = [];
    let start = 0;
    for (;;) {
      const end = this.buffer.indexOf("\n\n", Math.max(start, this.searched));
      if (end < 0) break;
      events.push(parse(this.buffer.slice(start, end)));
      start = end + 2;
      this.searched = start;
    }
    this.buffer = this.buffer.slice(start);
    // The line ends may come one by one.
    this.searched = Math.max(0, this.buffer.length - 1);
    return events;
  }
}

function parse(raw) {
  const event = { id: null, data: null, raw };
  for (const line of raw.split("\n")) {
    if (line.startsWith("data:")) {
      const value = line.slice(line[5] === " " ? 6 : 5);
      event.data = event.data === null ? value : `${event.data}\n${value}`;
    } else if (line.startsWith("id:")) event.id = line.slice(3).trim();
  }
  return event;
}

const wait = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });

/**
 * Reads until told that all has come.
 *
 * `open(signal)` makes the request, `onEvent(event)` returns true for the last one, and
 * `onState(state, detail)` is told "connecting", "live", "waiting", "frozen", "ended", "gone" (there is
 * nothing to read any more) or "locked" (we may not).
 */
export class Connection {
  constructor(open, { onEvent, onState }) {
    this.open = open;
    this.onEvent = onEvent;
    this.onState = onState;
    this.closed = new AbortController();
    this.resumed = 0;
    this.failures = 0;
    this.frozenUntil = 0;
    this.offlineUntil = 0;
    this.request = null;
  }

  async run() {
    while (!this.closed.signal.aborted) {
      this.onState(this.failures || this.resumed ? "waiting" : "connecting", this.failures);
      const outcome = await this.#once();
      if (this.closed.signal.aborted) return;
      if (outcome !== "broken") {
        this.onState(outcome);
        return;
      }
      this.resumed += 1;
      this.onState("waiting", this.failures);
      const offline = this.offlineUntil - performance.now();
      const delay = offline > 0 ? offline : DELAYS[Math.min(this.failures, DELAYS.length - 1)];
      this.failures += 1;
      await wait(delay, this.closed.signal);
    }
  }

  /** Drop the connection as a tunnel would, and be back after a while. */
  cut(ms = 1500) {
    this.offlineUntil = performance.now() + ms;
    this.request?.abort();
  }

  /** Read nothing for a while, as a tab does whose main thread is busy. */
  freeze(ms = 3000) {
    this.frozenUntil = performance.now() + ms;
    this.onState("frozen");
  }

  close() {
    this.closed.abort();
    this.request?.abort();
  }

  async #once() {
    const request = (this.request = new AbortController());
    let watchdog = 0;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => request.abort(), SILENCE);
    };
    try {
      alive();
      const response = await this.open(request.signal);
      if (response.status === 204) return "ended";
      if (response.status === 404 || response.status === 410) return "gone";
      if (response.status === 401 || response.status === 403) return "locked";
      if (!response.ok) return "broken";
      this.onState("live");
      return await this.#read(response.body.getReader(), alive);
    } catch {
      return "broken";
    } finally {
      clearTimeout(watchdog);
      request.abort();
    }
  }

  async #read(reader, alive) {
    const splitter = new EventSplitter();
    for (;;) {
      const frozen = this.frozenUntil - performance.now();
      if (frozen > 0) {
        await wait(frozen, this.closed.signal);
        this.onState("live");
      }
      const { value, done } = await reader.read();
      if (done) return "broken";
      alive();
      this.failures = 0;
      for (const event of splitter.feed(value)) {
        if (this.onEvent(event)) return "ended";
      }
    }
  }
}
