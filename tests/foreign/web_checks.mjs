// What every npm client of a web format has to get right, for each of web_answers.py.
import assert from "node:assert/strict";

const base = process.argv.at(-1);
const SEEDS = [1, 2, 3, 4, 5];

/**
 * Read each answer over one connection, and over connections that break again and again.
 *
 * @param read - Takes a URL, returns { run, turns, ... } of what it has got.
 * @param compare - Takes that and what the run came to, and asserts that they are the same.
 * @param more - Further checks, by name.
 */
export async function run(format, read, compare, more = {}) {
  const complaints = [];
  console.warn = (...words) => complaints.push(words.join(" "));
  for (const name of await (await fetch(`${base}/answers`)).json()) {
    await check(name, async () => {
      for (const query of ["", ...SEEDS.map((seed) => `?cuts=${seed}`)]) {
        complaints.length = 0;
        const got = await read(`${base}/${format}/${encodeURIComponent(name)}${query}`);
        const told = await (await fetch(`${base}/told/${got.run}`)).json();
        told.turns = told.turns.filter(
          (turn) => turn.text || turn.reasoning || turn.calls.length > 0,
        );
        compare(got, told);
        if (name === "queued" && query === "") assert.ok(got.queued, "it is not told that it waits");
        assert.deepEqual(complaints, []);
      }
    });
  }
  for (const [name, test] of Object.entries(more)) await check(name, test && (() => test(base)));
}

async function check(name, test) {
  let outcome = test ? "passed" : "missing";
  try {
    await test?.();
  } catch (error) {
    console.error(name, error);
    outcome = `failed: ${error}`.replaceAll(/[\n\t]/g, " ").slice(0, 300);
  }
  console.log(`${name}\t${outcome}`);
}

/** Return a value of JSON text; undefined if it is none. */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export { assert };
