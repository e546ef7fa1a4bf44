// What a browser offers, or does not: storage, cookies in a frame, random ids, pauses that spread.

const BACKOFF_MAX = 30000;

// Storage of this browser, or of this page only where the browser forbids it.
export class Memory {
  constructor(prefix) {
    this.prefix = prefix;
    this.own = new Map();
  }

  get(name) {
    try {
      return localStorage.getItem(this.prefix + name) ?? "";
    } catch {
      return this.own.get(name) ?? "";
    }
  }

  set(name, value) {
    this.own.set(name, value);
    try {
      localStorage.setItem(this.prefix + name, value);
    } catch {
      // Kept in this page only.
    }
  }

  remove(name) {
    this.own.delete(name);
    try {
      localStorage.removeItem(this.prefix + name);
    } catch {
      // Was kept in this page only.
    }
  }
}

export async function problemOf(answer) {
  let error = {};
  try {
    error = (await answer.json()).error || {};
  } catch {
    // Not ours: a proxy's page.
  }
  return { status: answer.status, code: error.code || "", message: error.message || "", retryAfter: Number(answer.headers.get("retry-after")) || 0 };
}

export function cookiesWork() {
  if (isOwnPage()) return navigator.cookieEnabled;
  if (location.protocol !== "https:") return false;
  document.cookie = "huiliu_probe=1; Secure; SameSite=None; Partitioned; Path=/";
  const works = document.cookie.includes("huiliu_probe=1");
  document.cookie = "huiliu_probe=; Max-Age=0; Secure; SameSite=None; Partitioned; Path=/";
  return works;
}

// Not in a frame, or in one of our own pages.
function isOwnPage() {
  try {
    return window.parent.location.origin === location.origin;
  } catch {
    return false;
  }
}

export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// Exponential with full jitter, never quite zero.
export function jitter(attempt) {
  return 150 + Math.random() * Math.min(BACKOFF_MAX, 1000 * 2 ** Math.min(attempt, 10));
}

export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
