// The chat page: puts the line (line.js) and the transcript (view.js) together with everything around them.

import { Memory } from "./browser.js";
import { Line } from "./line.js";
import { Transcript, element, icon } from "./view.js";

const parameters = new URLSearchParams(location.search);
const base = new URL(".", location.href.split("?")[0]);
const memory = new Memory(`huiliu:${base.pathname}:${parameters.get("site_key") || ""}:`);
const parentOrigin = exactOrigin(parameters.get("parent"));
const $ = (id) => document.getElementById(id);

const allWords = await (await fetch(new URL("chat/words.json", base))).json();
let language = memory.get("language") || (/^(zh|yue)/i.test(navigator.language) ? "zh" : "en");
let atBottom = true;
let uploads = [];
let uploading = 0;
let typingTimer = 0;
let firstSeq = 0;
let lastStatus = { state: "bot" };
let unread = 0;
let connectionTimer = 0;
let customers = [];

const transcript = new Transcript({
  log: $("log"),
  words,
  onChoice: (choice) => say(choice.label),
  onSource: showSource,
  onRetry: (id) => {
    transcript.markState(id, "sending");
    line.retry(id);
  },
});
const line = new Line({ base, siteKey: parameters.get("site_key") || "", memory });

applyTheme(memory.get("theme"));
applyLanguage();
listen();
line.start().then(askForDemo, () => {});
setTimeout(() => line.state === "connecting" && showBanner("connecting"), 1500);
tellParent({ type: "ready" });

// ---- words, theme ------------------------------------------------------------------------------------------------

function words(name, values = {}) {
  const text = allWords[language][name] ?? name;
  return typeof text === "string" ? text.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "") : text;
}

function applyLanguage() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  const texts = {
    language: words("language"), hello: words("hello"),
    "hello-detail": words("hello_detail"), hint: words("enter_hint"), earlier: words("earlier"),
  };
  for (const [id, text] of Object.entries(texts)) $(id).textContent = text;
  showBrand();
  $("text").placeholder = words("placeholder");
  const labels = {
    send: "send", attach: "attach", theme: "theme", close: "close", "sheet-close": "close", latest: "latest",
    language: "language_label", log: "log", text: "placeholder",
  };
  for (const [id, name] of Object.entries(labels)) {
    $(id).setAttribute("aria-label", words(name));
    if ($(id).localName === "button") $(id).title = words(name);
  }
  $("suggestions").replaceChildren(
    ...words("suggestions").map((text) => element("button", { type: "button", class: "choice", onclick: () => say(text) }, text)),
  );
  showStatus(lastStatus);
  showAccount();
  transcript.repaint();
}

function showBrand() {
  const brand = (line.session && line.session.brand) || words("brand");
  $("brand").textContent = brand;
  document.title = brand;
}

function applyTheme(theme) {
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

// ---- what comes from the line ------------------------------------------------------------------------------------

function listen() {
  const on = (name, handler) => line.addEventListener(name, (event) => handler(event.detail));
  on("session", () => {
    showBrand();
    showAccount();
  });
  on("message", receive);
  on("sent", (receipt) => transcript.markState(receipt.client_msg_id, "sent"));
  on("restored", (item) => addOwn(item));
  on("loaded", ({ first }) => {
    firstSeq = first;
    $("earlier").hidden = first <= 1;
    showEmpty();
    toBottom();
  });
  on("reset", () => {
    transcript.clear();
    hideTyping();
    showEmpty();
  });
  on("stream", ({ message_id, text }) => {
    hideTyping();
    transcript.stream(message_id, text);
    follow();
  });
  on("streamlost", () => transcript.endStreams());
  on("typing", showTyping);
  on("status", showStatus);
  on("receipt", (frame) => {
    if (frame.by === "service") transcript.receipt(frame.kind, frame.upto_seq);
    else if (frame.upto_seq >= line.lastSeq) clearUnread();
  });
  on("refused", refused);
  on("connection", showConnection);
}

function receive(message) {
  const fresh = line.state === "online" && message.role !== "customer";
  if (message.role !== "customer") {
    hideTyping();
    if (fresh && (document.hidden || !atBottom || isFolded())) {
      if (unread === 0 && !transcript.streaming.has(message.id)) transcript.divider(words("unread"));
      unread += 1;
      tellParent({ type: "unread", count: unread });
    }
  }
  transcript.add(message);
  showEmpty();
  follow(message.role === "customer");
  if (fresh) markRead();
}

function refused(frame) {
  const seconds = Math.ceil(frame.retry_after || 0);
  if (frame.client_msg_id) {
    const item = line.pending.get(frame.client_msg_id);
    if (item && item.failed) transcript.markState(frame.client_msg_id, "failed");
  }
  notice(frame.code, seconds);
}

function notice(code, seconds = 0) {
  const known = `error_${code}` in allWords[language];
  $("notice").textContent = words(known ? `error_${code}` : "error_generic", { seconds });
  $("notice").hidden = false;
  clearTimeout(notice.timer);
  notice.timer = setTimeout(() => ($("notice").hidden = true), Math.max(4000, seconds * 1000));
}

function showConnection(state) {
  clearTimeout(connectionTimer);
  if (state === "online") {
    $("banner").hidden = true;
    return;
  }
  // A blink of a reconnect is nobody's business.
  connectionTimer = setTimeout(() => showBanner(state), state === "reconnecting" ? 1200 : 0);
}

function showBanner(state) {
  if (line.state === "online") return;
  $("banner-text").textContent = words(state);
  const action = { stopped: "reload", replaced: "resume" }[state];
  $("banner-action").hidden = !action;
  if (action) $("banner-action").textContent = words(action);
  $("banner-action").onclick = () => (action === "reload" ? location.reload() : line.resume());
  $("banner").dataset.state = state;
  $("banner").hidden = false;
}

function showStatus(status) {
  lastStatus = status;
  const name = {
    queued: status.position === 1 ? "subtitle_queued_next" : "subtitle_queued",
    human: status.agent ? "subtitle_human" : "subtitle_human_nameless",
  }[status.state] || `subtitle_${status.state}`;
  $("status-text").textContent = words(name, { position: status.position || 1, agent: status.agent || "" });
  $("status").dataset.state = status.state;
}

function showTyping({ who, ttl }) {
  const bot = !who || who === "bot";
  $("typing-text").textContent = bot ? words("typing_bot") : words("typing_agent", { who });
  $("typing-icon").setAttribute("href", bot ? "#i-drop" : "#i-person");
  $("typing").classList.toggle("from-agent", !bot);
  $("typing").hidden = transcript.streaming.size > 0;
  clearTimeout(typingTimer);
  typingTimer = setTimeout(hideTyping, (ttl || 6) * 1000);
  follow();
}

function hideTyping() {
  clearTimeout(typingTimer);
  $("typing").hidden = true;
}

function showEmpty() {
  $("empty").hidden = !transcript.isEmpty;
}

// ---- writing -----------------------------------------------------------------------------------------------------

function say(text, attachments = []) {
  const trimmed = text.replace(/\s+$/, "");
  if (!trimmed.trim() && !attachments.length) return;
  transcript.dropDivider();
  addOwn(line.send(trimmed, attachments));
  clearUnread();
}

function addOwn(item) {
  const state = line.state === "offline" ? "queued" : "sending";
  transcript.add({ client_msg_id: item.client_msg_id, role: "customer", kind: "text", text: item.text, ts: item.at, seq: 0, attachments: item.attachments }, { state });
  showEmpty();
  toBottom();
}

function submit() {
  if (uploading) return;
  say($("text").value, uploads);
  $("text").value = "";
  uploads = [];
  showChips();
  fitText();
  $("text").focus();
}

function fitText() {
  const field = $("text");
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, 148)}px`;
  $("send").disabled = !field.value.trim() && !uploads.length;
}

async function addFiles(files) {
  for (const file of [...files].slice(0, 6 - uploads.length)) {
    uploading += 1;
    showChips(file.name);
    try {
      if (file.size > 5242880) throw { code: "too_large" };
      uploads.push(await line.upload(file));
    } catch (problem) {
      notice(problem.code || "generic", problem.retryAfter);
    }
    uploading -= 1;
    showChips();
  }
  fitText();
}

function showChips(running = "") {
  const chips = uploads.map((upload) =>
    element("span", { class: "chip" }, icon("i-file"), element("span", {}, upload.name),
      element("button", { type: "button", "aria-label": words("remove", { name: upload.name }), onclick: () => {
        uploads = uploads.filter((other) => other !== upload);
        showChips();
        fitText();
      } }, icon("i-close"))),
  );
  if (running) chips.push(element("span", { class: "chip busy" }, words("uploading", { name: running })));
  $("chips").replaceChildren(...chips);
  $("chips").hidden = chips.length === 0;
}

// ---- reading -----------------------------------------------------------------------------------------------------

function follow(always = false) {
  if (atBottom || always) toBottom();
  else $("latest").hidden = false;
}

function toBottom() {
  $("scroll").scrollTop = $("scroll").scrollHeight;
  atBottom = true;
  $("latest").hidden = true;
}

function isFolded() {
  return document.documentElement.dataset.folded === "yes";
}

function markRead() {
  if (document.hidden || !atBottom || isFolded() || !line.session) return;
  if (line.lastSeq > (markRead.upto || 0)) {
    markRead.upto = line.lastSeq;
    line.read(line.lastSeq);
  }
}

function clearUnread() {
  if (unread) tellParent({ type: "unread", count: 0 });
  unread = 0;
}

async function showEarlier() {
  const scroll = $("scroll");
  const height = scroll.scrollHeight;
  try {
    const messages = await line.loadEarlier(firstSeq);
    transcript.prepend(messages);
    firstSeq = messages.length ? messages[0].seq : 1;
  } catch {
    notice("generic");
  }
  $("earlier").hidden = firstSeq <= 1;
  scroll.scrollTop += scroll.scrollHeight - height;
}

// ---- the sheet: sources and signing in ---------------------------------------------------------------------------

function openSheet(title, ...body) {
  $("sheet-title").textContent = title;
  $("sheet-body").replaceChildren(...body);
  $("sheet").showModal();
}

function showSource(citation) {
  openSheet(
    citation.title,
    element("p", { class: "muted" }, words("source_note")),
    element("blockquote", {}, citation.quote),
    element("p", { class: "muted small" }, `${words("source_version", { version: citation.version })} · ${citation.article}`),
  );
}

// Only a server that plays the shop has these two addresses; everywhere else the shop's page hands the token in.
async function askForDemo() {
  const answer = await fetch(new URL("/demo/customers", base)).catch(() => null);
  if (!answer || !answer.ok) return;
  const list = await answer.json();
  customers = Array.isArray(list) ? list : list.customers || [];
  showAccount();
}

function showAccount() {
  const account = line && line.session && line.session.account;
  $("sign-in").hidden = !account && customers.length === 0;
  $("sign-in").textContent = account ? nameOf(account) : words("sign_in");
  $("sign-in").classList.toggle("on", Boolean(account));
  $("sign-in").title = account ? words("signed_in", { name: nameOf(account) }) : words("sign_in");
}

function nameOf(account) {
  const found = customers.find((customer) => customer.account === account);
  return found ? found.name : account;
}

function showSignIn() {
  if (line.session && line.session.account) {
    const out = element("button", { type: "button", class: "choice", onclick: () => act(() => line.signOut()) }, words("sign_out"));
    return openSheet(words("signed_in", { name: nameOf(line.session.account) }), element("div", { class: "rows" }, out));
  }
  const buttons = customers.map((customer) =>
    element("button", { type: "button", class: "row", onclick: () => act(() => signInAs(customer.account)) },
      element("span", { class: "avatar", "aria-hidden": "true" }, icon("i-person")),
      element("span", {}, element("b", {}, customer.name), element("small", {}, customer.account))),
  );
  openSheet(words("sign_in_title"), element("p", { class: "muted" }, words("sign_in_note")), element("div", { class: "rows" }, ...buttons));
}

async function signInAs(account) {
  const answer = await fetch(new URL("/demo/sign-in", base), {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ account }),
  });
  if (!answer.ok) throw { code: "sign_in" };
  await line.signIn((await answer.json()).identity_jwt);
}

async function act(work) {
  $("sheet").close();
  try {
    await work();
  } catch {
    notice("sign_in");
  }
}

// ---- in a frame --------------------------------------------------------------------------------------------------

function exactOrigin(text) {
  try {
    const address = new URL(text);
    return /^https?:$/.test(address.protocol) ? address.origin : "";
  } catch {
    return "";
  }
}

function tellParent(message) {
  if (window.parent !== window && parentOrigin) window.parent.postMessage({ source: "huiliu", ...message }, parentOrigin);
}

addEventListener("message", (event) => {
  if (event.source !== window.parent || event.origin !== parentOrigin || !event.data || event.data.source !== "huiliu-host") return;
  if (event.data.type === "identify" && typeof event.data.jwt === "string") act(() => line.signIn(event.data.jwt));
  if (event.data.type === "look") line.look(event.data.event);
  if (event.data.type === "sign-out") act(() => line.signOut());
  if (event.data.type === "open" || event.data.type === "fold") {
    document.documentElement.dataset.folded = event.data.type === "open" ? "no" : "yes";
    if (event.data.type === "open") {
      toBottom();
      clearUnread();
      markRead();
      $("text").focus();
    }
  }
});

// ---- hands -------------------------------------------------------------------------------------------------------

if (parameters.has("embed")) {
  document.documentElement.dataset.embed = "yes";
  document.documentElement.dataset.folded = "yes";
  $("close").hidden = false;
  $("close").onclick = () => tellParent({ type: "close" });
}
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
    event.preventDefault();
    submit();
  }
});
$("text").addEventListener("input", () => {
  fitText();
  if ($("text").value.trim()) line.typing();
});
$("text").addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) {
    event.preventDefault();
    addFiles(event.clipboardData.files);
  }
});
$("attach").onclick = () => $("file").click();
$("file").onchange = () => {
  addFiles($("file").files);
  $("file").value = "";
};
$("scroll").addEventListener("scroll", () => {
  const { scrollTop, scrollHeight, clientHeight } = $("scroll");
  atBottom = scrollHeight - scrollTop - clientHeight < 60;
  if (atBottom) {
    $("latest").hidden = true;
    clearUnread();
    markRead();
  }
}, { passive: true });
$("scroll").addEventListener("load", () => atBottom && toBottom(), true);
$("latest").onclick = toBottom;
$("earlier").onclick = showEarlier;
$("sign-in").onclick = showSignIn;
$("sheet-close").onclick = () => $("sheet").close();
$("sheet").addEventListener("click", (event) => event.target === $("sheet") && $("sheet").close());
$("theme").onclick = () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  memory.set("theme", theme);
  applyTheme(theme);
};
$("language").onclick = () => {
  language = language === "zh" ? "en" : "zh";
  memory.set("language", language);
  applyLanguage();
};
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && atBottom) {
    clearUnread();
    markRead();
  }
});
new ResizeObserver(() => atBottom && toBottom()).observe($("scroll"));
$("text").disabled = false; // what is typed before this script listens would be lost
fitText();
