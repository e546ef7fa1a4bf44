"""A whole client in Python, standard library only: sign in, tell what the customer looks at, write, and read the reply.

    python docs/clients/python_client.py http://127.0.0.1:8080/v1/app/main --key-id k1 --secret "<32 characters or more>" \
        --user demo1 "Where is my order?"

`UserTokens` belongs on the shop's own server, which knows who is signed in; the secret never goes into the app. Everything
below it is what the app does.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import sys
import time
import urllib.request
import uuid
from typing import Any


class UserTokens:
    """On the shop's server: a short-lived JWT (HS256) for the customer who is signed in there."""

    def __init__(self, key_id: str, secret: str) -> None:
        self._key_id = key_id
        self._secret = secret.encode()

    def sign(self, user: str) -> str:
        now = int(time.time())
        head = {"alg": "HS256", "typ": "JWT", "kid": self._key_id}
        claims = {"aud": "huiliu", "sub": user, "iat": now, "exp": now + 3600}
        signed = f"{self._encode(head)}.{self._encode(claims)}"
        digest = hmac.digest(self._secret, signed.encode(), hashlib.sha256)
        return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"

    def _encode(self, part: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


class App:
    """In the app: one session, and the messages that it shows by their number."""

    def __init__(self, address: str, tokens: UserTokens, user: str) -> None:
        self._address = address.rstrip("/")
        self._tokens = tokens
        self._user = user
        self._session: dict[str, Any] = {}
        self.shown: dict[int, dict[str, Any]] = {}

    def open(self) -> None:
        """At the start, and again when a call answers 401 or the session is about to run out (15 minutes)."""
        self._session = {}
        self._session = self._call("POST", "/sessions", {"user_token": self._tokens.sign(self._user)})

    def register(self, device: str, handle: str, platform: str) -> None:
        """At each start: where a push reaches this device."""
        self._call("PUT", f"/devices/{device}", {"handle": handle, "platform": platform})

    def look(self, title: str, url: str, product: str = "") -> None:
        event = {
            "id": str(uuid.uuid4()), "type": "page_view", "at": int(time.time() * 1000), "title": title, "url": url,
            "product": product,
        }  # fmt: skip
        self._call("POST", "/events", {"events": [event]})

    def write(self, text: str) -> None:
        """Keep the id with the text until it was answered: sent again under the same id it is one message."""
        self._call("POST", "/messages", {"client_msg_id": str(uuid.uuid4()), "text": text})

    def read(self, wait_seconds: int = 0) -> list[dict[str, Any]]:
        """What is newer than the last one shown; waits for it to come. What is acknowledged is not pushed."""
        last = max(self.shown, default=0)
        listed = self._call("GET", f"/messages?after_seq={last}&wait={wait_seconds}")
        new = [message for message in listed["messages"] if message["seq"] not in self.shown]
        for message in new:
            self.shown[message["seq"]] = message
        if new:
            self._call("POST", "/ack", {"seq": max(self.shown)})
        return new

    def _call(self, method: str, path: str, form: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self._session:
            headers["Authorization"] = f"Bearer {self._session['session_token']}"
        body = None if form is None else json.dumps(form).encode()
        request = urllib.request.Request(self._address + path, body, headers, method=method)  # noqa: S310  # the shop's own address
        with urllib.request.urlopen(request, timeout=40) as answer:  # noqa: S310
            text = answer.read()
        found: dict[str, Any] = json.loads(text) if text else {}
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Write to the customer service as a signed-in customer.")
    parser.add_argument("address", help="the service's address up to /v1/app/<account>")
    parser.add_argument("--key-id", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--user", default="demo1")
    parser.add_argument("text")
    given = parser.parse_args()

    app = App(given.address, UserTokens(given.key_id, given.secret), given.user)
    app.open()
    app.register("python-example", handle="where-my-push-service-finds-it", platform="other")
    app.look("Blue running shoes", "https://shop.example.com/p/1001", product="1001")
    app.read()
    app.write(given.text)
    for _ in range(6):
        replies = [message for message in app.read(wait_seconds=10) if message["role"] != "customer"]
        for reply in replies:
            print(f"{reply['role']}: {reply['text']}")
        if replies:
            return 0
    print("No reply within a minute.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
