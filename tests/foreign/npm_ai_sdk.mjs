// npm `ai` with `@ai-sdk/deepseek`.
import { createDeepSeek } from "@ai-sdk/deepseek";
import { APICallError, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import * as c from "./checks.mjs";
const { assert } = c;

const model = (baseURL, apiKey = c.KEY) => createDeepSeek({ baseURL, apiKey })(c.MODEL);
const base = (url, prompt, key) => ({ model: model(url, key), prompt, maxRetries: 0 });
const toolsWith = (execute) =>
  Object.fromEntries(
    c.NAMES.map((name) => [
      name,
      tool({
        description: `Tells the ${name}`,
        inputSchema: jsonSchema(c.PARAMETERS),
        ...(execute && { execute: ({ city }) => `${name} of ${city} is fine` }),
      }),
    ]),
  );
const status = (expected) => (error) => APICallError.isInstance(error) && error.statusCode === expected;

await c.run({
  async chat(url) {
    const found = await generateText(base(url, c.HELLO[0]));
    assert.equal(found.text, c.HELLO[1]);
    assert.ok(found.usage.totalTokens > 0);
  },
  async stream(url) {
    let text = "";
    const streamed = streamText(base(url, c.HELLO[0]));
    for await (const delta of streamed.textStream) text += delta;
    assert.equal(text, c.HELLO[1]);
    assert.ok((await streamed.usage).totalTokens > 0);
  },
  async "streamed parallel tools"(url) {
    const streamed = streamText({ ...base(url, c.LOOK_UP), tools: toolsWith(false) });
    const calls = await streamed.toolCalls;
    assert.deepEqual(calls.map((call) => call.toolName), c.NAMES);
    for (const call of calls) assert.deepEqual(call.input, c.ARGUMENTS);
  },
  async "tool round trip"(url) {
    const found = await generateText({
      ...base(url, c.LOOK_UP),
      tools: toolsWith(true),
      stopWhen: stepCountIs(3),
    });
    assert.equal(found.steps.length, 2);
    assert.ok(found.text.includes("weather of Hangzhou is fine"), found.text);
  },
  async "streamed reasoning"(url) {
    const streamed = streamText(base(url, c.THINK[0]));
    assert.equal(await streamed.reasoningText, c.THINK[1]);
    assert.equal(await streamed.text, c.THINK[2]);
  },
  async "JSON mode"(url) {
    const options = { responseFormat: { type: "json" } };
    const found = await model(url).doGenerate({
      prompt: [{ role: "user", content: [{ type: "text", text: c.AS_JSON }] }],
      ...options,
    });
    const text = found.content.filter((part) => part.type === "text").map((part) => part.text);
    assert.deepEqual(JSON.parse(text.join("")), { answer: 42 });
  },
  async 401(url) {
    await assert.rejects(generateText(base(url, c.HELLO[0], c.BAD_KEY)), status(401));
  },
  async 429(url) {
    await assert.rejects(generateText(base(url, c.REFUSED)), status(429));
  },
});
