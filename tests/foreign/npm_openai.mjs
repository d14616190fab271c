// npm `openai`: plain, streamed, and with its .stream() helper.
import OpenAI from "openai";
import * as c from "./checks.mjs";
const { assert } = c;

const client = (baseURL, apiKey = c.KEY) => new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const ask = (content, options = {}) => ({
  model: c.MODEL,
  messages: [{ role: "user", content }],
  ...options,
});
const tools = c.NAMES.map((name) => ({
  type: "function",
  function: { name, description: `Tells the ${name}`, parameters: c.PARAMETERS },
}));

await c.run({
  async chat(url) {
    const found = await client(url).chat.completions.create(ask(c.HELLO[0]));
    assert.equal(found.choices[0].message.content, c.HELLO[1]);
    assert.ok(found.usage.total_tokens > 0);
  },
  async stream(url) {
    let text = "";
    let usage = null;
    const options = { stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await client(url).chat.completions.create(ask(c.HELLO[0], options))) {
      text += chunk.choices[0].delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, c.HELLO[1]);
    assert.ok(usage.total_tokens > 0);
    const helper = client(url).chat.completions.stream(ask(c.HELLO[0]));
    assert.equal(await helper.finalContent(), c.HELLO[1]);
  },
  async "streamed parallel tools"(url) {
    const helper = client(url).chat.completions.stream(ask(c.LOOK_UP, { tools }));
    const { message } = (await helper.finalChatCompletion()).choices[0];
    assert.deepEqual(message.tool_calls.map((call) => call.function.name), c.NAMES);
    for (const call of message.tool_calls)
      assert.deepEqual(JSON.parse(call.function.arguments), c.ARGUMENTS);
  },
  async "tool round trip"(url) {
    const request = ask(c.LOOK_UP, { tools });
    const first = (await client(url).chat.completions.create(request)).choices[0].message;
    request.messages.push(first);
    for (const { id } of first.tool_calls)
      request.messages.push({ role: "tool", tool_call_id: id, content: `${id} is fine` });
    const second = (await client(url).chat.completions.create(request)).choices[0];
    assert.ok(second.message.content.includes(`${first.tool_calls[0].id} is fine`));
  },
  async "streamed reasoning"(url) {
    let thought = "";
    let text = "";
    const request = ask(c.THINK[0], { stream: true });
    for await (const chunk of await client(url).chat.completions.create(request)) {
      thought += chunk.choices[0].delta.reasoning_content ?? "";
      text += chunk.choices[0].delta.content ?? "";
    }
    assert.deepEqual([thought, text], c.THINK.slice(1));
  },
  async "JSON mode"(url) {
    const request = ask(c.AS_JSON, { response_format: { type: "json_object" } });
    const found = await client(url).chat.completions.create(request);
    assert.deepEqual(JSON.parse(found.choices[0].message.content), { answer: 42 });
  },
  async models(url) {
    const ids = (await client(url).models.list()).data.map((model) => model.id);
    assert.ok(ids.includes(c.MODEL));
  },
  async 401(url) {
    const asked = client(url, c.BAD_KEY).chat.completions.create(ask(c.HELLO[0]));
    await assert.rejects(asked, OpenAI.AuthenticationError);
  },
  async 429(url) {
    const asked = client(url).chat.completions.create(ask(c.REFUSED, { stream: true }));
    await assert.rejects(asked, OpenAI.RateLimitError);
  },
});
