// What every npm client has to get right; the same lines as checks.py prints.
import assert from "node:assert/strict";

export const MODEL = "deepseek-flash";
export const HELLO = ["Say hello", "Hello from the simulator!"];
export const THINK = ["Think first", "Two and two are four.", "Four."];
export const AS_JSON = "The answer as JSON, please";
export const REFUSED = "Refuse me";
export const LOOK_UP = "What is the weather, and what time is it?";
export const KEY = "sk-foreign";
export const BAD_KEY = "sk-bad-foreign";
export const ARGUMENTS = { city: "Hangzhou" };
export const NAMES = ["weather", "clock"];
export const PARAMETERS = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
};

const CHECKS = [
  "chat",
  "stream",
  "streamed parallel tools",
  "tool round trip",
  "streamed reasoning",
  "JSON mode",
  "models",
  "401",
  "429",
];

/** Run the checks that a client has, against the URL on the command line. */
export async function run(checks) {
  for (const name of CHECKS) {
    let outcome = "missing";
    if (checks[name]) {
      try {
        await checks[name](process.argv[2]);
        outcome = "passed";
      } catch (error) {
        console.error(error);
        outcome = `failed: ${error}`.replaceAll("\n", " ").slice(0, 300);
      }
    }
    console.log(`${name}\t${outcome}`);
  }
}

export { assert };
