// The line to the server: session, socket (then server-sent events, then long polls), replay by seq, queue of what
// was not confirmed yet. Knows nothing of the page; tells it by events:
// message, sent, refused, stream, streamed, typing, status, receipt, connection, session, reset.

import { cookiesWork, jitter, pause, problemOf, uuid } from "./browser.js";

const STABLE = 60000;
const PONG_WAIT = 3000;
const ECHO_WAIT = 10000;
const FINAL = new Set([4400, 4403, 4404]);
const REFUSED_FOR_GOOD = new Set(["client_msg_id_reused", "upload_unknown", "malformed", "too_large", "not_permitted"]);

export class Line extends EventTarget {
  constructor({ base, siteKey, memory }) {
    super();
    this.base = base;
    this.siteKey = siteKey;
    this.memory = memory;
    this.keep = cookiesWork() ? "cookie" : "storage";
    this.session = null;
    this.lastSeq = 0;
    this.pending = new Map();
    this.streams = new Map();
    this.socket = null;
    this.transport = "socket";
    this.attempt = 0;
    this.neverOpened = 0;
    this.renewed = false;
    this.gapRunning = null;
    this.state = "connecting";
    this.watchPage();
  }

  // ---- session -------------------------------------------------------------------------------------------------

  async start() {
    await this.withRetry(() => this.openSession({}));
    await this.withRetry(() => this.loadNewest());
    this.restoreQueue();
    this.connect();
  }

  async openSession(extra) {
    const before = this.session && this.session.conversation_id;
    this.session = await this.locked(() => this.requestSession(extra));
    if (this.keep === "storage") this.memory.set("refresh", this.session.refresh_token);
    this.tell("session", this.session);
    if (before && before !== this.session.conversation_id) await this.changeConversation();
  }

  async requestSession(extra) {
    const body = { site_key: this.siteKey, keep: this.keep, ...extra };
    const kept = this.keep === "storage" && !extra.fresh ? this.memory.get("refresh") : "";
    if (kept) body.refresh_token = kept;
    const answer = await this.fetch("v1/widget/sessions", { method: "POST", body: JSON.stringify(body) });
    if (answer.ok) return answer.json();
    const problem = await problemOf(answer);
    if (answer.status === 401 && problem.code.startsWith("refresh") && !extra.fresh) {
      this.memory.remove("refresh");
      return this.requestSession({ ...extra, fresh: true });
    }
    throw problem;
  }

  // Tabs of one browser share the refresh token: one after the other.
  locked(work) {
    return navigator.locks ? navigator.locks.request("huiliu-session", work) : work();
  }

  async signIn(identityJwt) {
    await this.openSession({ identity_jwt: identityJwt });
    this.offer({ t: "auth", token: this.session.visitor_token });
  }

  async signOut() {
    this.memory.remove("refresh");
    await this.openSession({ fresh: true });
  }

  async changeConversation() {
    this.lastSeq = 0;
    this.streams.clear();
    this.pending.clear();
    this.saveQueue();
    this.tell("reset");
    this.hangUp();
    await this.withRetry(() => this.loadNewest());
    this.transport = "socket";
    this.connect();
  }

  async freshToken() {
    if (this.session.expires_at - Date.now() < 30000) await this.openSession({});
    return this.session.visitor_token;
  }

  async api(path, options = {}) {
    const token = await this.freshToken();
    const headers = { ...options.headers, authorization: `Bearer ${token}` };
    const answer = await this.fetch(`v1/conversations/${this.session.conversation_id}/${path}`, { ...options, headers });
    if (answer.ok) return answer;
    throw await problemOf(answer);
  }

  fetch(path, options) {
    return fetch(new URL(path, this.base), { credentials: "include", ...options });
  }

  async withRetry(work) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await work();
      } catch (problem) {
        if (problem.status && problem.status < 500 && problem.status !== 429) {
          this.setState("stopped");
          throw problem;
        }
        this.setState(navigator.onLine === false ? "offline" : "reconnecting");
        await pause(Math.max(jitter(attempt), (problem.retryAfter || 0) * 1000));
      }
    }
  }

  // ---- history -------------------------------------------------------------------------------------------------

  async loadNewest() {
    const page = await (await this.api("messages?before_seq=999999999999999&limit=50")).json();
    for (const message of page.messages) this.apply(message, true);
    this.lastSeq = Math.max(this.lastSeq, ...page.messages.map((message) => message.seq), 0);
    this.tellState(page);
    this.tell("loaded", { first: page.messages.length ? page.messages[0].seq : 0 });
  }

  async loadEarlier(beforeSeq) {
    const page = await (await this.api(`messages?before_seq=${beforeSeq}&limit=50`)).json();
    return page.messages;
  }

  // Everything after lastSeq, by REST; the way out of every gap.
  fillGap() {
    this.gapRunning ??= (async () => {
      try {
        for (;;) {
          const page = await (await this.api(`messages?after_seq=${this.lastSeq}&limit=200`)).json();
          for (const message of page.messages) this.apply(message, true);
          this.tellState(page);
          if (page.messages.length < 200) return;
        }
      } finally {
        this.gapRunning = null;
      }
    })();
    return this.gapRunning;
  }

  tellState(page) {
    this.tell("status", page.status);
    this.tell("receipt", { kind: "delivered", by: "service", upto_seq: page.receipts.delivered });
    this.tell("receipt", { kind: "read", by: "service", upto_seq: page.receipts.read });
    this.tell("receipt", { kind: "read", by: "customer", upto_seq: page.receipts.seen });
  }

  apply(message, filling = false) {
    if (message.client_msg_id && this.pending.has(message.client_msg_id)) {
      this.pending.delete(message.client_msg_id);
      this.saveQueue();
    }
    if (message.seq <= this.lastSeq) return;
    if (!filling && message.seq > this.lastSeq + 1) {
      this.fillGap().catch(() => this.dropSocket());
      return;
    }
    this.lastSeq = message.seq;
    this.streams.delete(message.id);
    this.tell("message", message);
    if (message.role !== "customer") this.offer({ t: "ack", seq: message.seq });
  }

  // ---- sending -------------------------------------------------------------------------------------------------

  send(text, attachments) {
    const item = { client_msg_id: uuid(), text, attachments, at: Date.now(), tried: false };
    this.pending.set(item.client_msg_id, item);
    this.saveQueue();
    this.push(item);
    return item;
  }

  retry(clientId) {
    const item = this.pending.get(clientId);
    if (item) {
      item.failed = false;
      this.push(item);
    }
  }

  push(item) {
    if (item.failed || item.wait > Date.now()) return;
    const form = {
      client_msg_id: item.client_msg_id,
      text: item.text,
      attachments: item.attachments.map((one) => ({ upload_id: one.upload_id })),
    };
    const frame = JSON.stringify({ t: "send", ...form });
    if (this.isOpen() && frame.length < 10000) {
      this.socket.send(frame);
      this.expectEcho(item);
    } else if (this.transport !== "socket" || frame.length >= 10000) {
      this.post(item, form);
    }
  }

  // A socket that looks open but swallows what we send is dead.
  expectEcho(item) {
    const socket = this.socket;
    setTimeout(() => {
      if (this.pending.has(item.client_msg_id) && !item.failed && !item.wait && this.socket === socket) this.dropSocket();
    }, ECHO_WAIT);
  }

  async post(item, form) {
    if (item.posting) return;
    item.posting = true;
    try {
      const receipt = await (await this.api("messages", { method: "POST", body: JSON.stringify(form) })).json();
      this.tell("sent", { ...receipt, client_msg_id: item.client_msg_id });
      if (receipt.seq > this.lastSeq) await this.fillGap();
    } catch (problem) {
      if (problem.code) this.refused({ ...problem, client_msg_id: item.client_msg_id, retry_after: problem.retryAfter });
      else setTimeout(() => this.push(item), jitter(2));
    } finally {
      item.posting = false;
    }
  }

  refused(frame) {
    const item = this.pending.get(frame.client_msg_id);
    if (item && frame.retry_after) {
      item.wait = Date.now() + frame.retry_after * 1000;
      setTimeout(() => {
        item.wait = 0;
        this.push(item);
      }, frame.retry_after * 1000 + 50);
    } else if (item && REFUSED_FOR_GOOD.has(frame.code)) {
      item.failed = true;
    }
    this.tell("refused", frame);
  }

  flush() {
    for (const item of this.pending.values()) this.push(item);
  }

  saveQueue() {
    const items = [...this.pending.values()].filter((item) => !item.failed);
    const text = JSON.stringify({ conversation: this.session && this.session.conversation_id, items });
    if (items.length) this.memory.set("queue", text);
    else this.memory.remove("queue");
  }

  // What was written before the page was closed goes out under the same id: the server knows it or it does not.
  restoreQueue() {
    let saved = null;
    try {
      saved = JSON.parse(this.memory.get("queue") || "null");
    } catch {
      this.memory.remove("queue");
    }
    if (!saved || saved.conversation !== this.session.conversation_id) return;
    for (const item of saved.items) {
      if (this.pending.has(item.client_msg_id)) continue;
      this.pending.set(item.client_msg_id, { ...item, wait: 0, posting: false });
      this.tell("restored", item);
    }
  }

  // Who is quick with a file waits for the session that it belongs to.
  async upload(file) {
    if (!this.session) await new Promise((begun) => this.addEventListener("session", begun, { once: true }));
    const answer = await this.api(`uploads?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
    return answer.json();
  }

  read(seq) {
    if (!this.offer({ t: "read", seq })) this.api("read", { method: "POST", body: JSON.stringify({ seq }) }).catch(() => {});
  }

  // What the shop's page says its customer does: a hint for the desk, not worth a second try.
  look(event) {
    if (!this.session) return void this.addEventListener("session", () => this.look(event), { once: true });
    this.api("events", { method: "POST", body: JSON.stringify({ events: [event] }) }).catch(() => {});
  }

  typing() {
    const now = Date.now();
    if (now - (this.typedAt || 0) < 3000) return;
    this.typedAt = now;
    this.offer({ t: "typing" });
  }

  // ---- connection ----------------------------------------------------------------------------------------------

  connect() {
    clearTimeout(this.again);
    if (this.state === "stopped" || this.socket) return;
    if (this.transport === "stream") return void this.followStream();
    if (this.transport === "poll") return void this.poll();
    if (navigator.onLine === false) return this.setState("offline");
    this.openSocket();
  }

  async openSocket() {
    try {
      await this.freshToken();
    } catch {
      return this.later();
    }
    if (this.socket) return;
    const socket = new WebSocket(this.session.ws_url, ["chat.v1"]);
    this.socket = socket;
    this.ready = false;
    socket.onopen = () => {
      this.neverOpened = 0;
      const hello = { t: "hello", v: 1, token: this.session.visitor_token, conversation_id: this.session.conversation_id, last_seq: this.lastSeq };
      socket.send(JSON.stringify(hello));
    };
    socket.onmessage = (event) => {
      if (this.socket === socket) this.hear(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (this.socket === socket) this.closed(event.code);
    };
  }

  isOpen() {
    return this.ready && this.socket && this.socket.readyState === WebSocket.OPEN;
  }

  offer(frame) {
    if (!this.isOpen()) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  hear(frame) {
    if (this.ready && this.state === "offline") this.setState("online");
    const handler = {
      ready: () => this.becomeReady(frame),
      resync: () => this.fillGap().catch(() => this.dropSocket()),
      message: () => this.apply(frame),
      delta: () => this.delta(frame),
      message_done: () => this.tell("streamed", frame),
      typing: () => this.tell("typing", frame),
      status: () => this.tell("status", frame),
      receipt: () => this.tell("receipt", frame),
      error: () => this.refused(frame),
      token_expiring: () => this.renewToken(),
      ping: () => this.offer({ t: "pong" }),
      pong: () => clearTimeout(this.pongTimer),
    }[frame.t];
    if (handler) handler();
  }

  becomeReady(frame) {
    this.ready = true;
    this.renewed = false;
    clearTimeout(this.stableTimer);
    this.stableTimer = setTimeout(() => {
      this.attempt = 0;
    }, STABLE);
    this.setState("online");
    if (frame.last_seq < this.lastSeq) this.lastSeq = frame.last_seq;
    this.flush();
  }

  delta(frame) {
    const running = this.streams.get(frame.message_id) || { text: "", next: 0, broken: false };
    if (frame.snapshot) {
      running.text = frame.text;
      running.broken = false;
    } else if (frame.i === running.next && !running.broken) {
      running.text += frame.text;
    } else {
      running.broken = frame.i > running.next || running.broken;
    }
    running.next = Math.max(running.next, frame.next);
    this.streams.set(frame.message_id, running);
    this.tell("stream", { message_id: frame.message_id, text: running.text });
  }

  async renewToken() {
    try {
      await this.openSession({});
      this.offer({ t: "auth", token: this.session.visitor_token });
    } catch {
      // The socket will be closed with 4401, and that way tries again.
    }
  }

  async closed(code) {
    const wasReady = this.ready;
    this.socket = null;
    this.ready = false;
    this.streams.clear();
    this.tell("streamlost");
    clearTimeout(this.stableTimer);
    clearTimeout(this.pongTimer);
    if (FINAL.has(code)) return this.setState("stopped");
    if (code === 4409) return this.setState("replaced");
    if (code === 4401 && !this.renewed) {
      this.renewed = true;
      return this.withRetry(() => this.openSession({})).then(() => this.connect(), () => {});
    }
    if (!wasReady && (this.neverOpened += 1) >= 3) this.transport = "stream";
    this.later(code === 1001 || code === 1012 ? Math.random() * 5000 : undefined);
  }

  later(delay = jitter(this.attempt)) {
    this.attempt += 1;
    this.setState(navigator.onLine === false ? "offline" : "reconnecting");
    clearTimeout(this.again);
    this.again = setTimeout(() => this.connect(), delay);
  }

  dropSocket() {
    const socket = this.socket;
    if (!socket) return;
    socket.onclose = null;
    socket.close();
    this.closed(1006);
  }

  hangUp() {
    const socket = this.socket;
    this.socket = null;
    this.ready = false;
    if (socket) {
      socket.onclose = null;
      socket.close(1000);
    }
  }

  resume() {
    this.attempt = 0;
    if (this.socket) return this.probe();
    if (this.state === "replaced") this.state = "connecting";
    this.connect();
  }

  // iOS keeps a dead socket that looks open: ask it.
  probe() {
    if (this.state === "stopped") return;
    if (!this.socket) return this.state === "replaced" ? undefined : this.resume();
    if (!this.isOpen()) return;
    this.offer({ t: "ping" });
    clearTimeout(this.pongTimer);
    this.pongTimer = setTimeout(() => this.dropSocket(), PONG_WAIT);
  }

  watchPage() {
    addEventListener("online", () => this.resume());
    addEventListener("offline", () => this.setState("offline"));
    addEventListener("pageshow", (event) => event.persisted && this.probe());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.session && this.probe());
  }

  // ---- without a socket ----------------------------------------------------------------------------------------

  async followStream() {
    try {
      const answer = await this.api(`stream?after_seq=${this.lastSeq}`);
      this.setState("online");
      this.flush();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        for (const event of events) {
          const data = event.split("\n").find((line) => line.startsWith("data: "));
          if (data) this.hearStreamed(JSON.parse(data.slice(6)));
        }
      }
      this.later();
    } catch {
      this.transport = "poll";
      this.later();
    }
  }

  hearStreamed(frame) {
    if (frame.t === "ready" || frame.t === "ping") return;
    if (frame.t === "token_expiring") return;
    this.hear(frame);
  }

  async poll() {
    try {
      const page = await (await this.api(`messages?after_seq=${this.lastSeq}&wait=25`)).json();
      this.setState("online");
      for (const message of page.messages) this.apply(message, true);
      this.tellState(page);
      this.attempt = 0;
      this.flush();
      this.again = setTimeout(() => this.connect(), 0);
    } catch {
      this.transport = "socket";
      this.neverOpened = 0;
      this.later();
    }
  }

  setState(state) {
    if (this.state === state) return;
    this.state = state;
    this.tell("connection", state);
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
