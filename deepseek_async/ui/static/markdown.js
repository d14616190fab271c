// Markdown as the models write it, made of elements and text nodes. Nothing in it can become a script, a
// request or a link: addresses are shown, not followed. What isn't understood stays as it was written.

import { copyButton, GrowingText, h, visible } from "./dom.js";

// Larger blocks are shown as they are: they come from attacks or accidents.
const MAX_BLOCK = 16_000;
const MAX_DEPTH = 6;
// How far, and how often, what ends an emphasis is looked for: a text of nothing but asterisks must not
// take longer than one of words.
const MAX_SPAN = 2_000;
const MAX_TRIES = 40;

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s(.*)$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:\s+(.*)|)$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const DELIMITERS = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;

/** Split text into blocks; each has `type`, `start` and `end` (offsets), and what its type needs. */
export function parseBlocks(text) {
  const lines = text.split("\n");
  const offsets = [];
  let offset = 0;
  for (const line of lines) {
    offsets.push(offset);
    offset += line.length + 1;
  }
  offsets.push(offset);
  const blocks = [];
  let i = 0;
  while (i < lines.length) {
    if (!lines[i].trim()) {
      i += 1;
      continue;
    }
    const begin = i;
    const [block, next] = parseBlock(lines, i);
    i = next;
    block.start = offsets[begin];
    block.end = Math.min(offsets[next], text.length);
    block.lines = next - begin;
    blocks.push(block);
  }
  return blocks;
}

function parseBlock(lines, i) {
  const line = lines[i];
  let match = FENCE.exec(line);
  if (match) return parseFence(lines, i, match);
  match = HEADING.exec(line);
  if (match) return [{ type: "heading", level: match[1].length, text: match[2].trim().replace(/#{1,6}$/, "").trimEnd() }, i + 1];
  if (RULE.test(line)) return [{ type: "rule" }, i + 1];
  if (QUOTE.test(line)) {
    const quoted = [];
    while (i < lines.length && (match = QUOTE.exec(lines[i]))) {
      quoted.push(match[1]);
      i += 1;
    }
    return [{ type: "quote", text: quoted.join("\n") }, i];
  }
  if (ITEM.test(line)) return parseList(lines, i);
  if (line.includes("|") && i + 1 < lines.length && lines[i + 1].includes("-") && DELIMITERS.test(lines[i + 1])) {
    return parseTable(lines, i);
  }
  const text = [line];
  i += 1;
  while (i < lines.length && lines[i].trim() && !interrupts(lines[i])) {
    text.push(lines[i]);
    i += 1;
  }
  return [{ type: "paragraph", text: text.join("\n") }, i];
}

function interrupts(line) {
  if (FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line)) return true;
  const item = ITEM.exec(line);
  return Boolean(item && item[3] && (!/\d/.test(item[2]) || item[2].startsWith("1")));
}

function parseFence(lines, i, [, mark, info]) {
  const code = [];
  let closed = false;
  i += 1;
  while (i < lines.length && !closed) {
    const trimmed = lines[i].trim();
    closed = trimmed.length >= mark.length && trimmed === mark[0].repeat(trimmed.length);
    if (!closed) code.push(lines[i]);
    i += 1;
  }
  return [{ type: "code", language: info.trim().split(/\s+/)[0], text: code.join("\n"), closed }, i];
}

function parseList(lines, i) {
  const [, indent, mark] = ITEM.exec(lines[i]);
  const ordered = /\d/.test(mark);
  const list = { type: "list", ordered, first: ordered ? Number.parseInt(mark, 10) : 1, items: [] };
  while (i < lines.length) {
    const match = ITEM.exec(lines[i]);
    if (!match || match[1].length > indent.length + 1 || match[1].length < indent.length) break;
    if (/\d/.test(match[2]) !== ordered) break;
    const inner = match[1].length + match[2].length + 1;
    const item = [match[3] ?? ""];
    i += 1;
    while (i < lines.length) {
      const next = lines[i];
      const depth = next.length - next.trimStart().length;
      if (!next.trim()) {
        const after = lines[i + 1];
        if (after === undefined || !after.trim() || after.length - after.trimStart().length < inner) break;
        item.push("");
      } else if (depth >= Math.min(inner, indent.length + 2)) item.push(next.slice(Math.min(depth, inner)));
      else if (ITEM.test(next) || interrupts(next) || !lines[i - 1].trim()) break;
      else item.push(next.trimStart());
      i += 1;
    }
    list.items.push(item.join("\n"));
    // A blank line between items.
    if (i + 1 < lines.length && !lines[i].trim() && ITEM.test(lines[i + 1])) i += 1;
  }
  return [list, i];
}

function parseTable(lines, i) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const head = cells(lines[i]);
  const align = cells(lines[i + 1]).map((mark) => (mark.endsWith(":") ? (mark.startsWith(":") ? "center" : "right") : "left"));
  const rows = [];
  i += 2;
  while (i < lines.length && lines[i].includes("|")) {
    rows.push(cells(lines[i]).slice(0, head.length));
    i += 1;
  }
  return [{ type: "table", head, align, rows }, i];
}

/** Make the element of a block. */
export function render(block, depth = 0) {
  if (block.type !== "code" && block.end - block.start > MAX_BLOCK) return plain(block);
  switch (block.type) {
    case "heading":
      // The page has its own headings above them.
      return h(`h${Math.min(block.level + 2, 6)}`, { dir: "auto", class: `level-${block.level}` }, ...inline(block.text));
    case "rule":
      return h("hr");
    case "quote":
      return h("blockquote", { dir: "auto" }, ...nested(block.text, depth));
    case "list":
      return h(
        block.ordered ? "ol" : "ul",
        block.ordered && block.first !== 1 ? { start: block.first } : {},
        ...block.items.map((item) => h("li", { dir: "auto" }, ...nested(item, depth, true))),
      );
    case "table":
      return renderTable(block);
    case "code":
      return new CodeBlock(block).element;
    default:
      return h("p", { dir: "auto" }, ...inline(block.text));
  }
}

function plain(block) {
  const element = h("p", { class: "plain", dir: "auto" });
  new GrowingText(element).show(block.source ?? block.text ?? "");
  return element;
}

function nested(text, depth, tight = false) {
  if (depth >= MAX_DEPTH) return [visible(text)];
  const blocks = parseBlocks(text);
  return blocks.flatMap((block, index) =>
    tight && index === 0 && block.type === "paragraph" ? inline(block.text) : [render(block, depth + 1)],
  );
}

function renderTable({ head, align, rows }) {
  const row = (tag, cells) =>
    h("tr", {}, ...head.map((_, column) => h(tag, { class: `to-${align[column] ?? "left"}`, dir: "auto" }, ...inline(cells[column] ?? ""))));
  return h("div", { class: "table", tabindex: "0" }, h("table", {}, h("thead", {}, row("th", head)), h("tbody", {}, ...rows.map((cells) => row("td", cells)))));
}

/** Code that may still grow, with a button to copy it. */
class CodeBlock {
  constructor(block) {
    const code = h("code");
    this.text = new GrowingText(code);
    this.element = h(
      "figure",
      { class: "code" },
      h("figcaption", {}, h("span", { text: block.language || "text" }), copyButton("Copy code", () => this.source)),
      h("pre", { tabindex: "0" }, code),
    );
    this.show(block);
  }

  show(block) {
    this.source = block.text;
    this.text.show(block.text);
  }
}

// Whether the text that is being made is still written: what opens at its end will be closed later.
let growing = false;

/** Make the nodes of text within a block. */
export function inline(text, depth = 0) {
  const nodes = [];
  let plainText = "";
  const flush = () => {
    if (plainText) nodes.push(document.createTextNode(visible(plainText)));
    plainText = "";
  };
  let i = 0;
  while (i < text.length) {
    const found = depth < MAX_DEPTH ? span(text, i, depth) : null;
    if (found) {
      flush();
      nodes.push(...found.nodes);
      i = found.end;
    } else if (text[i] === "\\" && /[!-/:-@[-`{-~]/.test(text[i + 1] ?? "")) {
      plainText += text[i + 1];
      i += 2;
    } else {
      plainText += text[i];
      i += 1;
    }
  }
  flush();
  return nodes;
}

const WORD = /[\p{L}\p{N}]/u;

function span(text, i, depth) {
  switch (text[i]) {
    case "`":
      return code(text, i);
    case "*":
    case "_":
      return emphasis(text, i, depth);
    case "~":
      return text.startsWith("~~", i) ? between(text, i, "~~", "del", depth) : null;
    case "[":
      return link(text, i);
    default:
      return null;
  }
}

function code(text, i) {
  let width = 1;
  while (text[i + width] === "`") width += 1;
  const mark = "`".repeat(width);
  let end = text.indexOf(mark, i + width);
  while (end >= 0 && (text[end + width] === "`" || text[end - 1] === "`")) end = text.indexOf(mark, end + width + 1);
  if (end < 0 && growing && width < 3) return { nodes: [h("code", { text: text.slice(i + width) })], end: text.length };
  // The whole row of them is what it is, or it would be looked at again from its second one on.
  if (end < 0) return { nodes: [document.createTextNode(mark)], end: i + width };
  return { nodes: [h("code", { text: text.slice(i + width, end).replace(/^ (.*) $/s, "$1") })], end: end + width };
}

function emphasis(text, i, depth) {
  const mark = text[i];
  if (mark === "_" && WORD.test(text[i - 1] ?? "")) return null;
  if (text[i + 1] === mark) return between(text, i, mark + mark, "strong", depth);
  return between(text, i, mark, "em", depth);
}

function between(text, i, mark, tag, depth) {
  const start = i + mark.length;
  if (growing && start >= text.length) return { nodes: [], end: start };
  if (/\s/.test(text[start] ?? " ")) return null;
  let end = text.indexOf(mark, start + 1);
  for (let tries = 0; end >= 0 && end - start < MAX_SPAN && tries < MAX_TRIES; tries += 1) {
    const single = mark.length === 1 && (text[end + 1] === mark || text[end - 1] === mark);
    const inWord = mark[0] === "_" && WORD.test(text[end + mark.length] ?? "");
    if (!single && !inWord && !/\s/.test(text[end - 1])) {
      return { nodes: [h(tag, {}, ...inline(text.slice(start, end), depth + 1))], end: end + mark.length };
    }
    end = text.indexOf(mark, end + (single ? 2 : 1));
  }
  if (growing && end < 0) return { nodes: [h(tag, {}, ...inline(text.slice(start), depth + 1))], end: text.length };
  return null;
}

const LINK = /\[([^[\]\n]{1,300})\]\((https?:\/\/[^\s()<>"']{1,500})\)/y;

/** A link is its text and its address, both to be read and neither to be clicked. */
function link(text, i) {
  LINK.lastIndex = i;
  const match = LINK.exec(text);
  if (!match) return null;
  const address = h("span", { class: "address", text: match[2] });
  const nodes = match[1] === match[2] ? [address] : [document.createTextNode(visible(match[1])), " ", address];
  return { nodes: [h("span", { class: "link" }, ...nodes)], end: LINK.lastIndex };
}

/** Markdown that grows: blocks that are complete stay, what may still change is made anew. */
export class GrowingMarkdown {
  constructor(element) {
    this.element = element;
    this.settled = 0;
    this.length = 0;
    this.tail = [];
    this.code = null;
    this.plain = null;
    this.growing = false;
  }

  /** Show `text`, of which all that was shown before is the beginning. */
  show(text, isGrowing = false) {
    if (text.length === this.length && isGrowing === this.growing) return;
    this.length = text.length;
    this.growing = isGrowing;
    const rest = text.slice(this.settled);
    if (this.plain) return this.plain.show(rest);
    const blocks = parseBlocks(rest);
    if (!blocks.length || this.#growCode(blocks)) return;
    if (rest.length > MAX_BLOCK && blocks.length === 1 && blocks[0].type !== "code") return this.#giveUp(rest);
    for (const old of this.tail) old.remove();
    this.code = null;
    // The last line may be the beginning of anything, also of more of the block before it.
    const last = blocks.at(-1);
    const open = blocks.length > 1 && last.lines === 1 && !rest.endsWith("\n") ? 2 : 1;
    const nodes = blocks.map((block) => {
      block.source = rest.slice(block.start, block.end);
      growing = isGrowing && block === last;
      if (block !== last || block.type !== "code") return render(block);
      const view = new CodeBlock(block);
      this.code = { view, start: this.settled + block.start };
      return view.element;
    });
    growing = false;
    this.element.append(...nodes);
    this.tail = nodes.slice(-open);
    this.settled += blocks.at(-open).start;
  }

  /** A block without end: from here on the text is shown as it is. */
  #giveUp(rest) {
    for (const old of this.tail) old.remove();
    const element = h("p", { class: "plain", dir: "auto" });
    this.element.append(element);
    this.plain = new GrowingText(element);
    this.plain.show(rest);
  }

  /** A block of code that only became longer. */
  #growCode(blocks) {
    const [block] = blocks;
    if (!this.code || blocks.length > 1 || block.type !== "code") return false;
    if (this.code.start !== this.settled + block.start) return false;
    // What looked like code may have been the fence that closes it.
    if (!block.text.startsWith(this.code.view.source)) return false;
    this.code.view.show(block);
    return true;
  }
}
