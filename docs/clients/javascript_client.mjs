// A whole client in JavaScript without packages (Node 20, browsers, React Native): sign in, tell what the customer looks
// at, write, and read the reply as it comes by server-sent events.
//
//   node docs/clients/javascript_client.mjs http://127.0.0.1:8080/v1/app/main k1 "<secret of 32 characters or more>" demo1 "Where is my order?"
//
// `signUserToken` belongs on the shop's own server, which knows who is signed in; the secret never goes into the app.
// Everything below it is what the app does.
import { createHmac, randomUUID } from "node:crypto";

function signUserToken(keyId, secret, user) {
  const now = Math.floor(Date.now() / 1000);
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const head = encode({ alg: "HS256", typ: "JWT", kid: keyId });
  const claims = encode({ aud: "huiliu", sub: user, iat: now, exp: now + 3600 });
  const signature = createHmac("sha256", secret).update(`${head}.${claims}`).digest("base64url");
  return `${head}.${claims}.${signature}`;
}

class App {
  constructor(address, getUserToken) {
    this.address = address.replace(/\/$/, "");
    this.getUserToken = getUserToken;
    this.lastSeq = 0; // keep it with the messages that are shown
  }

  // At the start, and again when a call answers 401 or the session is about to run out (15 minutes).
  async open() {
    this.session = undefined;
    this.session = await this.call("POST", "/sessions", { user_token: await this.getUserToken() });
  }

  // At each start: where a push reaches this device.
  register(device, handle, platform) {
    return this.call("PUT", `/devices/${device}`, { handle, platform });
  }

  look(title, url, product) {
    const event = { id: randomUUID(), type: "page_view", at: Date.now(), title, url, product };
    return this.call("POST", "/events", { events: [event] });
  }

  // Keep the id with the text until it was answered: sent again under the same id it is one message.
  write(text, id = randomUUID()) {
    return this.call("POST", "/messages", { client_msg_id: id, text });
  }

  // Calls back for each message once, in order, until it returns true or the stream ends; what came meanwhile is replayed
  // when it is opened again. What is acknowledged is not pushed.
  async follow(onMessage) {
    const response = await this.request("GET", `/stream?after_seq=${this.lastSeq}`);
    const decoder = new TextDecoder();
    let waiting = "";
    for await (const chunk of response.body) {
      waiting += decoder.decode(chunk, { stream: true });
      const events = waiting.split("\n\n");
      waiting = events.pop();
      for (const event of events) {
        const line = event.split("\n").find((one) => one.startsWith("data: "));
        const frame = line ? JSON.parse(line.slice(6)) : {};
        if (frame.t !== "message" || frame.seq <= this.lastSeq) continue;
        this.lastSeq = frame.seq;
        await this.call("POST", "/ack", { seq: frame.seq });
        if (onMessage(frame)) return true;
      }
    }
    return false;
  }

  async call(method, path, form) {
    const response = await this.request(method, path, form);
    const text = await response.text();
    return text ? JSON.parse(text) : {};
  }

  async request(method, path, form) {
    const headers = { "content-type": "application/json" };
    if (this.session) headers.authorization = `Bearer ${this.session.session_token}`;
    const response = await fetch(this.address + path, { method, headers, body: form && JSON.stringify(form) });
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    return response;
  }
}

const [address, keyId, secret, user, text] = process.argv.slice(2);
if (!text) {
  console.error("usage: javascript_client.mjs ADDRESS KEY_ID SECRET USER TEXT");
  process.exit(2);
}
const app = new App(address, () => signUserToken(keyId, secret, user));
await app.open();
await app.register("javascript-example", "where-my-push-service-finds-it", "other");
await app.look("Blue running shoes", "https://shop.example.com/p/1001", "1001");
app.lastSeq = app.session.last_seq; // this example shows only what is new
await app.write(text);
const answered = await app.follow((message) => {
  if (message.role === "customer") return false;
  console.log(`${message.role}: ${message.text}`);
  return true;
});
process.exit(answered ? 0 : 1);
