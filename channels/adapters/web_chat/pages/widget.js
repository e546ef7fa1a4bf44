// The loader for a shop's own pages: <script src="https://care.example.com/widget.js" data-site-key="site" async></script>
// Adds a round button and, on the first click, the chat in a frame. Speaks with the frame by postMessage with exact
// origins in both directions, and reads nothing of the page it stands in: what a customer looks at is told by the shop.

(() => {
  const script = document.currentScript;
  const base = new URL(".", script.src);
  const texts = /^(zh|yue)/i.test(script.dataset.language || document.documentElement.lang || navigator.language)
    ? { open: "打开客服聊天", close: "收起客服聊天", title: "客服聊天" }
    : { open: "Open the chat", close: "Fold the chat away", title: "Chat" };
  const accent = /^#[0-9a-f]{3,8}$/i.test(script.dataset.color || "") ? script.dataset.color : "#0b6e75";
  const side = script.dataset.side === "left" ? "left" : "right";
  let frame = null;
  let ready = false;
  let isOpen = false;
  let waiting = [];
  let looked = [];

  const host = document.createElement("div");
  host.id = "huiliu-widget";
  const root = host.attachShadow({ mode: "open" });
  const button = document.createElement("button");
  const badge = document.createElement("span");
  const small = matchMedia("(max-width: 520px)");

  function style(target, rules) {
    for (const [name, value] of Object.entries(rules)) target.style.setProperty(name, value);
  }

  function drawing(path) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    for (const [name, value] of Object.entries({ viewBox: "0 0 32 32", width: "30", height: "30", "aria-hidden": "true" })) svg.setAttribute(name, value);
    for (const [name, value] of Object.entries({ d: path, fill: "none", stroke: "currentColor", "stroke-width": "2.4", "stroke-linecap": "round", "stroke-linejoin": "round" })) line.setAttribute(name, value);
    svg.append(line);
    return svg;
  }

  function paint() {
    const shape = isOpen ? "m10 13 6 6 6-6" : "M7 11c3.6 0 4.6 2.6 9 2.600S21.4 11 25 11M7 16.500c3.6 0 4.6 2.6 9 2.600s5.4-2.6 9-2.600M7 22c3.6 0 4.6 2.6 9 2.600s5.4-2.6 9-2.6";
    button.replaceChildren(drawing(shape), badge);
    button.setAttribute("aria-label", isOpen ? texts.close : texts.open);
    button.setAttribute("aria-expanded", String(isOpen));
    button.style.setProperty("display", isOpen && small.matches ? "none" : "grid");
    if (!frame) return;
    const place = small.matches
      ? { inset: "0", width: "100%", height: "100%", "border-radius": "0" }
      : { inset: "auto", bottom: "92px", [side]: "24px", width: "400px", height: "min(680px, calc(100vh - 116px))", "border-radius": "20px" };
    style(frame, {
      ...place,
      opacity: isOpen ? "1" : "0",
      visibility: isOpen ? "visible" : "hidden",
      transform: isOpen ? "none" : "translateY(14px) scale(.98)",
    });
  }

  function makeFrame() {
    frame = document.createElement("iframe");
    const address = new URL("chat", base);
    address.search = new URLSearchParams({ embed: "1", site_key: script.dataset.siteKey || "", parent: location.origin });
    frame.src = address.href;
    frame.title = texts.title;
    frame.allow = "clipboard-write";
    style(frame, {
      position: "fixed", border: "0", "z-index": "2147483000", background: "transparent", "transform-origin": `bottom ${side}`,
      transition: "opacity .18s ease, transform .18s ease, visibility .18s", "box-shadow": "0 24px 64px rgba(9, 30, 33, .28), 0 2px 8px rgba(9, 30, 33, .12)",
    });
    root.append(frame);
    waiting.push(...looked.splice(0).map((event) => ({ type: "look", event })));
  }

  function post(message) {
    if (!frame) makeFrame();
    if (ready) frame.contentWindow.postMessage({ source: "huiliu-host", ...message }, base.origin);
    else waiting.push(message);
  }

  // Kept here until the customer opens the chat: whoever never does is never told of.
  function look(seen) {
    const id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    const event = { type: "page_view", ...seen, id, at: Date.now() };
    if (frame) post({ type: "look", event });
    else looked = [...looked.slice(-19), event];
  }

  function setOpen(open) {
    isOpen = open;
    post({ type: open ? "open" : "fold" });
    paint();
    requestAnimationFrame(paint);
  }

  addEventListener("message", (event) => {
    if (!frame || event.source !== frame.contentWindow || event.origin !== base.origin) return;
    const data = event.data || {};
    if (data.source !== "huiliu") return;
    if (data.type === "ready") {
      ready = true;
      waiting.splice(0).forEach(post);
    }
    if (data.type === "close") setOpen(false);
    if (data.type === "unread") {
      const count = isOpen ? 0 : Number(data.count) || 0;
      badge.textContent = count > 9 ? "9+" : String(count);
      badge.style.setProperty("display", count ? "block" : "none");
    }
  });

  style(button, {
    position: "fixed", bottom: "24px", [side]: "24px", width: "58px", height: "58px", "border-radius": "50%", border: "0", padding: "0",
    "place-items": "center", color: "#fff", background: accent, cursor: "pointer", "z-index": "2147483001",
    "box-shadow": "0 10px 28px rgba(9, 60, 64, .35)", transition: "transform .15s ease",
  });
  style(badge, {
    position: "absolute", top: "-4px", right: "-4px", "min-width": "20px", height: "20px", "border-radius": "10px", padding: "0 5px",
    "box-sizing": "border-box", background: "#d8443c", color: "#fff", font: "600 12px/20px system-ui, sans-serif", display: "none",
  });
  button.type = "button";
  button.addEventListener("click", () => setOpen(!isOpen));
  button.addEventListener("pointerenter", () => button.style.setProperty("transform", "scale(1.06)"));
  button.addEventListener("pointerleave", () => button.style.removeProperty("transform"));
  addEventListener("keydown", (event) => event.key === "Escape" && isOpen && setOpen(false));
  small.addEventListener("change", paint);
  root.append(button);
  paint();
  (document.body || document.documentElement).append(host);

  // For the shop's page: sign the customer in with a signed user token, tell what they look at, open, close.
  window.Huiliu = Object.freeze({
    open: () => setOpen(true),
    close: () => setOpen(false),
    identify: (jwt) => post({ type: "identify", jwt: String(jwt) }),
    look: (seen) => look(Object(seen)),
    signOut: () => post({ type: "sign-out" }),
  });
})();
