// npm `ai`: the UI message stream, as its own transport and its `useChat` read it. The first
// argument is the name that the version goes by.
import { createRequire } from "node:module";
import { assert, parsed, run } from "./web_checks.mjs";

const name = process.argv[2];
const { AbstractChat, DefaultChatTransport, readUIMessageStream } = await import(name);
const { version } = createRequire(import.meta.url)(`${name}/package.json`);

const question = { id: "q", role: "user", parts: [{ type: "text", text: "?" }] };

async function read(api) {
  const transport = new DefaultChatTransport({ api });
  const chunks = [];
  const told = await transport.sendMessages({
    chatId: "c",
    messages: [question],
    trigger: "submit-message",
  });
  const tap = new TransformStream({
    transform(chunk, controller) {
      chunks.push(chunk);
      controller.enqueue(chunk);
    },
  });
  const errors = [];
  let message = null;
  const stream = readUIMessageStream({
    stream: told.pipeThrough(tap),
    onError: (error) => errors.push(error.message),
  });
  for await (message of stream);
  const first = (type) => chunks.find((chunk) => chunk.type === type);
  assert.equal(chunks.filter((chunk) => chunk.type === "start").length, 1);
  return {
    run: first("start").messageId,
    turns: turnsOf(message),
    metadata: message?.metadata,
    errors,
    finish: first("finish"),
    abort: first("abort"),
    queued: first("data-queued"),
  };
}

function turnsOf(message) {
  const turns = [];
  for (const part of message?.parts ?? []) {
    if (part.type === "step-start") {
      turns.push({ text: "", reasoning: "", calls: [] });
      continue;
    }
    const turn = turns.at(-1);
    if (part.type === "text" || part.type === "reasoning") {
      turn[part.type] += part.text;
      assert.equal(part.state, "done");
    } else {
      assert.ok(part.type.startsWith("tool-"), part.type);
      turn.calls.push(part);
    }
  }
  return turns;
}

const REASONS = { stop: "stop", length: "length", tool_calls: "tool-calls" };

function compare(got, told) {
  assert.deepEqual(
    got.turns.map(({ text, reasoning }) => ({ text, reasoning })),
    told.turns.map(({ text, reasoning }) => ({ text, reasoning })),
  );
  got.turns.forEach((turn, index) => compareCalls(turn.calls, told.turns[index].calls));
  const ids = got.turns.flatMap((turn) => turn.calls.map((call) => call.toolCallId));
  assert.equal(new Set(ids).size, ids.length, "two calls have the same id");
  if (told.usage !== null) assert.deepEqual(got.metadata.usage, told.usage);
  assert.equal(got.metadata?.cost ?? null, told.cost);
  assert.equal(got.finish?.finishReason, REASONS[told.finish_reason]);
  assert.equal(got.finish !== undefined, told.status === "done");
  assert.equal(got.abort !== undefined, told.status === "stopped");
  assert.equal(got.metadata?.stopped, told.status === "stopped" ? "stopped" : undefined);
  assert.equal(got.errors.length, told.status === "failed" ? 1 : 0);
  if (told.status === "failed") assert.match(got.errors[0], /^The (answer|service) /);
}

function compareCalls(got, told) {
  assert.deepEqual(
    got.map((call) => call.type),
    told.map((call) => `tool-${call.name}`),
  );
  got.forEach((call, index) => {
    const { arguments: given, result, is_error: isError } = told[index];
    const input = parsed(given || "{}");
    if (input === undefined) {
      assert.equal(call.state, "output-error");
      assert.equal(call.input ?? call.rawInput, given);
    } else {
      assert.deepEqual(call.input, input);
    }
    if (result === undefined) {
      if (input !== undefined) assert.equal(call.state, "input-available");
    } else if (isError) {
      assert.equal(call.state, "output-error");
      assert.equal(call.errorText, result);
    } else {
      assert.equal(call.state, "output-available");
      const value = /^\s*[{[]/.test(result) ? parsed(result) : undefined;
      assert.deepEqual(call.output, value ?? result);
    }
  });
}

/** What `useChat` is made of, without React. */
class Chat extends AbstractChat {
  constructor(options) {
    let messages = [];
    const state = {
      status: "ready",
      error: undefined,
      get messages() {
        return messages;
      },
      set messages(all) {
        messages = all;
      },
      pushMessage: (message) => messages.push(structuredClone(message)),
      popMessage: () => messages.pop(),
      replaceMessage: (index, message) => (messages[index] = structuredClone(message)),
      snapshot: (value) => structuredClone(value),
    };
    super({ ...options, state });
  }
}

/**
 * Break off as Chrome does, since Node's own error is one that the SDK doesn't know for a cut; and
 * remember the last cursor that got through, which the SDK forgets.
 */
function fetchAsInChrome(seen) {
  return async (...request) => {
    const response = await fetch(...request);
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const body = new ReadableStream({
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) return controller.close();
          for (const [, id] of decoder.decode(value).matchAll(/^id: (\S+)/gm)) seen.after = id;
          controller.enqueue(value);
        } catch {
          controller.error(new TypeError("network error"));
        }
      },
    });
    return new Response(body, response);
  };
}

/** Ask, lose the connection in the middle, and come back as a page does. */
async function comeBack(base, { query = "", goesOn = false }) {
  const id = `chat-${Math.random()}`;
  const seen = {};
  const transport = new DefaultChatTransport({
    api: `${base}/chat${query}`,
    fetch: fetchAsInChrome(seen),
    resumeStreamIsReplay: !goesOn,
    prepareReconnectToStreamRequest: () => ({
      api: `${base}/chat/${id}/stream${goesOn ? `?after=${seen.after}` : ""}`,
    }),
  });
  const onData = (part) => (seen[part.type] = part.data);
  const chat = new Chat({ id, transport, onData });
  await chat.sendMessage({ text: "?" });
  assert.equal(chat.status, "error");
  if (!query) assert.deepEqual(seen["data-drain"], { retry: 0.1 });
  assert.equal(chat.messages[1].parts.at(-1).state, "streaming");
  await chat.resumeStream();
  assert.equal(chat.status, "ready");
  assert.equal(chat.messages.length, 2);
  assert.equal(chat.messages[1].id, id);
  const told = await (await fetch(`${base}/told/${id}`)).json();
  assert.deepEqual(
    turnsOf(chat.messages[1]).map(({ text, reasoning }) => ({ text, reasoning })),
    told.turns.map(({ text, reasoning }) => ({ text, reasoning })),
  );
}

await run("ai-sdk", read, compare, {
  "useChat comes back after the end of a process": (base) => comeBack(base, {}),
  "useChat goes on after a cut": (base) => comeBack(base, { query: "?break=1", goesOn: true }),
  // Version 5 adds all of it to what it has: it must go on instead.
  "useChat begins anew after a cut": version.startsWith("5.")
    ? null
    : (base) => comeBack(base, { query: "?break=1" }),
});
