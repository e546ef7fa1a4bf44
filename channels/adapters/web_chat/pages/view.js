// What a message looks like. Text of customers, models and articles only ever becomes text nodes; the little Markdown
// we understand (bold, code, links, lists) is built from elements, never from HTML.

const SVG = "http://www.w3.org/2000/svg";
const GROUP_GAP = 180000;
const RANK = { queued: 0, sending: 0, sent: 1, delivered: 2, read: 3 };
const TICKS = { queued: "i-clock", sending: "i-clock", sent: "i-tick", delivered: "i-ticks", read: "i-ticks", failed: "i-alert" };

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === undefined || value === null) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

// ---- text --------------------------------------------------------------------------------------------------------

const INLINE = /\*\*(\S(?:[^\n]*?\S)?)\*\*|`([^`\n]+)`|\[([^\]\n]+)\]\((https?:\/\/[^\s)]+)\)|(https?:\/\/[^\s<>"'，。；！？）】》」]+)/g;

export function richText(text) {
  const body = document.createDocumentFragment();
  let list = null;
  let paragraph = [];
  const endParagraph = () => {
    if (paragraph.length) body.append(element("p", {}, ...lines(paragraph)));
    paragraph = [];
  };
  const endList = () => {
    if (list) body.append(list);
    list = null;
  };
  for (const line of text.split("\n")) {
    const item = /^\s*(?:[-*•]|(\d{1,3})[.)、])\s+(.*)$/.exec(line);
    if (item) {
      endParagraph();
      const tag = item[1] ? "ol" : "ul";
      if (!list || list.localName !== tag) {
        endList();
        list = element(tag, item[1] ? { start: item[1] } : {});
      }
      list.append(element("li", {}, ...inline(item[2])));
      continue;
    }
    endList();
    const heading = /^#{1,6}\s+(.*)$/.exec(line);
    if (heading) {
      endParagraph();
      body.append(element("p", {}, element("strong", {}, ...inline(heading[1]))));
    } else if (line.trim()) paragraph.push(line);
    else endParagraph();
  }
  endParagraph();
  endList();
  return body;
}

function lines(texts) {
  return texts.flatMap((line, index) => (index ? [element("br"), ...inline(line)] : inline(line)));
}

function inline(text) {
  const nodes = [];
  let position = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > position) nodes.push(text.slice(position, match.index));
    const [whole, bold, code, label, address, bare] = match;
    if (bold !== undefined) nodes.push(element("strong", {}, ...inline(bold)));
    else if (code !== undefined) nodes.push(element("code", {}, code));
    else nodes.push(link(label ?? bare, address ?? bare));
    position = match.index + whole.length;
  }
  if (position < text.length) nodes.push(text.slice(position));
  return nodes;
}

function link(label, address) {
  return element("a", { href: address, target: "_blank", rel: "noopener noreferrer nofollow" }, label);
}

// ---- the transcript ----------------------------------------------------------------------------------------------

export class Transcript {
  constructor({ log, words, onChoice, onSource, onRetry }) {
    this.log = log;
    this.words = words;
    this.handlers = { onChoice, onSource, onRetry };
    this.own = new Map();
    this.items = [];
    this.streaming = new Map();
    this.upto = { delivered: 0, read: 0 };
  }

  clear() {
    this.log.replaceChildren();
    this.own.clear();
    this.items = [];
    this.streaming.clear();
    this.upto = { delivered: 0, read: 0 };
  }

  get isEmpty() {
    return this.items.length === 0 && this.streaming.size === 0;
  }

  // One line of the transcript: in the place of the bubble that stood there for it, or at the end.
  add(message, { state = "sent", before = null } = {}) {
    if (message.kind === "event" && message.role === "customer") return null;
    const known = message.client_msg_id && this.own.get(message.client_msg_id);
    if (known) {
      known.message = { ...known.message, ...message };
      this.moveToSeq(known);
      this.advance(known, state);
      this.renumber();
      return known;
    }
    const item = { message, state: message.role === "customer" ? state : "", node: null };
    const stream = this.streaming.get(message.id);
    item.node = this.build(item, stream ? stream.node : null);
    if (message.client_msg_id) this.own.set(message.client_msg_id, item);
    this.streaming.delete(message.id);
    if (before) {
      this.items.splice(before.index, 0, item);
      this.log.insertBefore(item.node, before.node);
    } else if (stream) {
      this.items.push(item);
    } else {
      this.items.push(item);
      this.log.append(item.node);
      this.keepPendingLast();
    }
    this.renumber();
    return item;
  }

  prepend(messages) {
    const first = this.items[0];
    const node = first ? first.node : null;
    messages.forEach((message, index) => this.add(message, { before: { index, node } }));
  }

  advance(item, state) {
    if (state === "failed" || item.state === "failed" || RANK[state] > RANK[item.state]) item.state = state;
    this.paintState(item);
  }

  markState(clientId, state) {
    const item = this.own.get(clientId);
    if (item) this.advance(item, state);
  }

  receipt(kind, upto) {
    if (upto <= this.upto[kind]) return;
    this.upto[kind] = upto;
    this.renumber();
  }

  stream(messageId, text) {
    const known = this.streaming.get(messageId);
    const message = { id: messageId, role: "bot", kind: "text", text, seq: 0, ts: Date.now(), attachments: [] };
    if (known) {
      known.item.message = message;
      this.fillBubble(known.item, known.node.querySelector(".bubble"));
      return;
    }
    const item = { message, state: "", node: null, running: true };
    item.node = this.build(item);
    this.streaming.set(messageId, { node: item.node, item });
    this.log.append(item.node);
    this.renumber();
  }

  endStreams(keep = new Set()) {
    for (const [messageId, { node }] of this.streaming) {
      if (keep.has(messageId)) continue;
      node.remove();
      this.streaming.delete(messageId);
    }
  }

  divider(text) {
    this.dropDivider();
    this.log.append(element("li", { class: "divider unread", role: "separator" }, element("span", {}, text)));
  }

  dropDivider() {
    for (const node of this.log.querySelectorAll(".unread")) node.remove();
  }

  repaint() {
    for (const item of [...this.items, ...[...this.streaming.values()].map((one) => one.item)]) {
      const fresh = this.build(item);
      item.node.replaceWith(fresh);
      item.node = fresh;
      const stream = this.streaming.get(item.message.id);
      if (stream) stream.node = fresh;
    }
    this.renumber();
  }

  // ---- inside ----------------------------------------------------------------------------------------------------

  build(item, reuse = null) {
    const { message } = item;
    const side = message.role === "customer" ? "own" : message.role === "system" ? "note" : "theirs";
    const node = reuse || element("li");
    node.className = `line ${side} from-${message.role}`;
    node.dataset.id = message.id || "";
    const bubble = element("div", { class: "bubble" });
    this.fillBubble(item, bubble);
    const column = element("div", { class: "stack" }, this.author(message), bubble, this.sources(message), this.choices(message));
    if (message.role === "customer") column.append(element("div", { class: "meta" }));
    const avatar = element("span", { class: "avatar", "aria-hidden": "true" }, icon(message.role === "agent" ? "i-person" : "i-drop"));
    node.replaceChildren(...(side === "theirs" ? [avatar, column] : [column]));
    item.node = node;
    this.paintState(item);
    return node;
  }

  fillBubble(item, bubble) {
    const { message } = item;
    bubble.replaceChildren();
    for (const attachment of message.attachments || []) bubble.append(this.attachment(attachment));
    if (message.role === "customer") {
      if (message.text) bubble.append(element("p", { class: "plain" }, message.text));
    } else bubble.append(richText(message.text));
    if (!bubble.childNodes.length) bubble.append(element("p", { class: "muted" }, this.words("unknown_kind")));
    bubble.classList.toggle("running", Boolean(item.running));
    bubble.classList.toggle("wide", Boolean((message.attachments || []).length));
  }

  author(message) {
    const role = { bot: "bot", agent: "agent", customer: "you" }[message.role];
    const name = message.author && message.role === "agent" ? message.author : role ? this.words(role) : "";
    return message.role === "system" ? "" : element("div", { class: "author" }, name);
  }

  sources(message) {
    const citations = message.citations || [];
    if (!citations.length) return "";
    const chips = citations.map((citation) =>
      element("button", { type: "button", class: "source", onclick: () => this.handlers.onSource(citation) }, icon("i-quote"), element("span", {}, citation.title)),
    );
    return element("div", { class: "sources", "aria-label": this.words("sources") }, ...chips);
  }

  choices(message) {
    const choices = message.choices || [];
    if (!choices.length) return "";
    const buttons = choices.map((choice) => element("button", { type: "button", class: "choice", onclick: () => this.handlers.onChoice(choice) }, choice.label));
    return element("div", { class: "choices" }, ...buttons);
  }

  attachment(attachment) {
    const address = attachment.url ? localAddress(attachment.url) : "";
    if (attachment.kind === "image" && address) {
      const picture = element("img", { src: address, alt: attachment.name || "", loading: "lazy" });
      return element("a", { class: "picture", href: address, target: "_blank", rel: "noopener" }, picture);
    }
    const name = attachment.name || attachment.description || attachment.kind;
    const label = [icon("i-file"), element("span", {}, name)];
    if (!address) return element("span", { class: "file" }, ...label);
    return element("a", { class: "file", href: address, rel: "noopener", target: "_blank", "aria-label": this.words("download", { name }) }, ...label);
  }

  paintState(item) {
    const meta = item.node && item.node.querySelector(".meta");
    if (!meta) return;
    const label = this.words(`state_${item.state}`);
    const parts = [element("time", {}, clockTime(item.message.ts)), element("span", { class: "tick", title: label }, icon(TICKS[item.state]), element("span", { class: "visually-hidden" }, label))];
    if (item.state === "failed") {
      const again = () => this.handlers.onRetry(item.message.client_msg_id);
      parts.push(element("button", { type: "button", class: "link", onclick: again }, this.words("retry")));
    }
    meta.replaceChildren(...parts);
    meta.dataset.state = item.state;
  }

  // What is not confirmed stands below what is.
  keepPendingLast() {
    for (const item of this.items) if (item.message.role === "customer" && !item.message.seq) this.log.append(item.node);
    for (const { node } of this.streaming.values()) this.log.append(node);
  }

  moveToSeq(item) {
    const following = this.items.find((other) => other !== item && other.message.seq > item.message.seq);
    this.items.splice(this.items.indexOf(item), 1);
    const index = following ? this.items.indexOf(following) : this.items.filter((other) => other.message.seq).length;
    this.items.splice(index, 0, item);
    if (following) this.log.insertBefore(item.node, following.node);
  }

  // Groups, days, receipts: everything that depends on the neighbours.
  renumber() {
    for (const node of this.log.querySelectorAll(".day")) node.remove();
    let before = null;
    let newestOwn = null;
    const shown = [...this.items, ...[...this.streaming.values()].map((one) => one.item)];
    shown.forEach((item, index) => {
      const { message } = item;
      const next = shown[index + 1];
      if (!before || dayOf(before.message.ts) !== dayOf(message.ts)) {
        this.log.insertBefore(element("li", { class: "divider day", role: "separator" }, element("span", {}, this.dayName(message.ts))), item.node);
        before = null;
      }
      item.node.classList.toggle("first", !sameGroup(before, item));
      item.node.classList.toggle("last", !sameGroup(item, next));
      if (message.role === "customer") {
        if (message.seq && item.state !== "failed") {
          const state = message.seq <= this.upto.read ? "read" : message.seq <= this.upto.delivered ? "delivered" : "sent";
          this.advance(item, state);
        }
        newestOwn = item;
      }
      before = item;
    });
    for (const item of this.items) item.node.classList.toggle("newest", item === newestOwn);
    const last = shown.at(-1);
    for (const item of this.items) item.node.classList.toggle("answerable", item === last);
  }

  dayName(moment) {
    const today = dayOf(Date.now());
    if (dayOf(moment) === today) return this.words("today");
    if (dayOf(moment + 86400000) === today) return this.words("yesterday");
    return new Date(moment).toLocaleDateString(document.documentElement.lang, { year: "numeric", month: "long", day: "numeric" });
  }
}

function sameGroup(one, other) {
  return Boolean(one && other && one.message.role === other.message.role && (one.message.author || "") === (other.message.author || "") && Math.abs(other.message.ts - one.message.ts) < GROUP_GAP);
}

// Our own files by path, whichever of our names this page was opened under; others only over http.
function localAddress(url) {
  const address = new URL(url, location.href);
  if (address.pathname.includes("/v1/uploads/")) return new URL(address.pathname + address.search, location.origin).href;
  return /^https?:$/.test(address.protocol) ? address.href : "";
}

function clockTime(moment) {
  return new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
}

function dayOf(moment) {
  return new Date(moment).toDateString();
}
