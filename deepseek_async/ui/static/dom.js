// Elements and text, and nothing else: no string ever becomes markup here.

export const $ = (id) => document.getElementById(id);

const SVG = "http://www.w3.org/2000/svg";

/** Make an element. `props` are attributes; `class`, `text` and `on` (listeners) are special. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = visible(value);
    else if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Make one of the icons of the page. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

// What is not to be seen, or makes other text be seen in another order: C0 and C1 controls but for
// tab and line ends, and the directional formatting characters of Unicode.
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Return a text in which what is hidden can be seen. */
export function visible(text) {
  return String(text).replace(HIDDEN, (character) => {
    const code = character.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? "\u2421" : `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
  });
}

/** Text that only grows: appended in nodes of about 2 kB, so that no node is laid out again and again. */
export class GrowingText {
  static size = 2048;

  constructor(element) {
    this.element = element;
    this.length = 0;
    this.node = null;
  }

  /** Show `text`, of which all that was shown before is the beginning. */
  show(text) {
    if (text.length === this.length) return;
    let rest = visible(text.slice(this.length));
    this.length = text.length;
    while (rest) {
      if (!this.node || this.node.length >= GrowingText.size) {
        this.node = document.createTextNode("");
        this.element.append(this.node);
      }
      const end = cut(rest);
      this.node.appendData(rest.slice(0, end));
      rest = rest.slice(end);
    }
  }
}

/** Where to end a node: behind a space if there is one, and never within a character. */
function cut(text) {
  if (text.length <= GrowingText.size) return text.length;
  const space = text.lastIndexOf(" ", GrowingText.size - 1);
  if (space > GrowingText.size - 128) return space + 1;
  const code = text.charCodeAt(GrowingText.size - 1);
  return code >= 0xd800 && code < 0xdc00 ? GrowingText.size + 1 : GrowingText.size;
}

/** Set a text if it is another one: an output that stays the same costs nothing. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

let saying = 0;

/** Tell those who listen rather than look; rarely. */
export function say(text) {
  clearTimeout(saying);
  saying = setTimeout(() => put($("said"), text), 120);
}

/** A button that copies, and says so for a moment. */
export function copyButton(label, textOf) {
  const button = h("button", { type: "button", class: "icon small", "aria-label": label, title: label }, icon("copy"));
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(textOf());
    } catch {
      say("Copying is not allowed here");
      return;
    }
    button.replaceChildren(icon("check"));
    say("Copied");
    setTimeout(() => button.replaceChildren(icon("copy")), 1200);
  });
  return button;
}
