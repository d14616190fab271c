// JSON that is still being written: what can be told of it by now.

/** Return the value that a beginning of JSON text stands for, undefined if there is none yet. */
export function partialJson(text) {
  const closers = [];
  let inString = false;
  let escaped = false;
  let safe = 0;
  for (let i = 0; i < text.length; i += 1) {
    const character = text[i];
    if (inString) {
      if (escaped) escaped = false;
      else if (character === "\\") escaped = true;
      else if (character === '"') inString = false;
      continue;
    }
    if (character === '"') inString = true;
    else if (character === "{") closers.push("}");
    else if (character === "[") closers.push("]");
    else if (character === "}" || character === "]") closers.pop();
    else if (character === ",") safe = i;
  }
  const closing = closers.reverse().join("");
  const whole = inString ? `${escaped ? text.slice(0, -1) : text}"` : text;
  // As it is; without what is half written at its end; and without the last member.
  for (const candidate of [whole, `${whole}null`, whole.replace(/[,:]\s*$/, ""), text.slice(0, safe)]) {
    try {
      return JSON.parse(candidate + closing);
    } catch {
      // The next one.
    }
  }
  return undefined;
}
