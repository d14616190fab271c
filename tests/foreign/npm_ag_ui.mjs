// npm `@ag-ui/client`: an agent over HTTP, its checks of the protocol included.
import { HttpAgent } from "@ag-ui/client";
import { assert, run } from "./web_checks.mjs";

async function read(url) {
  const agent = new HttpAgent({ url });
  const got = { events: [], errors: [] };
  await agent
    .runAgent(
      {},
      {
        onEvent: ({ event }) => void got.events.push(event),
        onRunErrorEvent: ({ event }) => void got.errors.push(event),
      },
    )
    .catch((error) => (got.failure = error));
  const first = (type) => got.events.find((event) => event.type === type);
  got.run = first("RUN_STARTED").runId;
  got.finished = first("RUN_FINISHED");
  got.turns = turnsOf(agent.messages);
  got.queued = first("CUSTOM")?.name === "queued";
  return got;
}

function turnsOf(messages) {
  const ids = messages.map((message) => message.id);
  assert.equal(new Set(ids).size, ids.length, "two messages have the same id");
  const turns = [];
  let reasoning = "";
  for (const message of messages) {
    if (message.role === "reasoning") {
      reasoning += message.content;
    } else if (message.role === "assistant") {
      const calls = (message.toolCalls ?? []).map((call) => ({ ...call.function, id: call.id }));
      turns.push({ text: message.content ?? "", reasoning, calls });
      reasoning = "";
    } else {
      assert.equal(message.role, "tool");
      const call = turns.at(-1).calls.find((call) => call.id === message.toolCallId);
      assert.equal(call.result, undefined);
      call.result = message.content;
    }
  }
  if (reasoning) turns.push({ text: "", reasoning, calls: [] });
  return turns;
}

function compare(got, told) {
  const ids = got.turns.flatMap((turn) => turn.calls.map((call) => call.id));
  assert.equal(new Set(ids).size, ids.length, "two calls have the same id");
  const plain = (turns) =>
    turns.map(({ text, reasoning, calls }) => ({
      text,
      reasoning,
      calls: calls.map(({ name, arguments: given, result }) => ({ name, given, result })),
    }));
  assert.deepEqual(plain(got.turns), plain(told.turns));
  const ended = got.finished ?? got.errors[0];
  assert.equal(got.errors.length, told.status === "failed" ? 1 : 0);
  if (told.status === "failed") {
    assert.match(ended.message, /^The (answer|service) /);
    assert.equal(ended.code, told.kind);
  } else {
    assert.equal(got.failure, undefined);
    assert.equal(ended.outcome.type, told.status === "done" ? "success" : "cancelled");
    if (told.status === "done") assert.equal(ended.metadata.finishReason, told.finish_reason);
  }
  if (told.usage !== null) {
    const { model, ...counts } = ended.usage[0];
    assert.equal(typeof model, "string");
    assert.deepEqual(counts, told.usage);
  }
  assert.equal(ended.metadata.cost ?? null, told.cost);
}

await run("ag-ui", read, compare, {
  // It has no way to.
  "useChat comes back after the end of a process": null,
  "useChat goes on after a cut": null,
  "useChat begins anew after a cut": null,
});
