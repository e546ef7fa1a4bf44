"""A phone with the shop's app: signs in, writes, reads, tells what its owner looks at, and is pushed to when it is away.

Behind `huiliu simulate app`. Where there is a push service the last text is sent with the app in the background: the reply must come as a push with a
right signature, and stand in the conversation when the app is opened again, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from pydantic import BaseModel

from channels.adapters.app.settings import AppSettings
from foundation.clock import to_milliseconds, utc_now
from service.simulate import stage
from service.simulate.app.shop import Notification, PushService, Signer, signers
from service.simulate.contract import DONE, NOT_ANSWERED, NOT_POSSIBLE, Options, Say

POLL_SECONDS = 20
_LOCAL = ("127.0.0.1", "localhost")


@dataclass
class Phone:
    """One device of one user. `shown` is what stands on its screen: messages by their seq."""

    client: httpx.AsyncClient
    signer: Signer
    user: str
    device: str
    account: str = "main"
    root: str = ""
    shown: dict[int, dict[str, Any]] = field(default_factory=dict)
    session: dict[str, Any] = field(default_factory=dict)
    is_away: bool = False

    @property
    def last_seq(self) -> int:
        return max(self.shown, default=0)

    @property
    def texts(self) -> list[tuple[str, str]]:
        return [(one["role"], one["text"]) for _, one in sorted(self.shown.items())]

    async def open(self, **claims: Any) -> httpx.Response:
        """A fresh token of the shop's server becomes a session."""
        self.is_away = False
        answer = await self._call("POST", "/sessions", {"user_token": self.signer.token(self.user, **claims)})
        if answer.is_success:
            self.session = answer.json()
        return answer

    async def register(self, handle: str = "") -> httpx.Response:
        form = {"handle": handle or f"push-{self.device}", "platform": "android"}
        return await self._call("PUT", f"/devices/{self.device}", form)

    async def write(self, text: str, message: str = "") -> httpx.Response:
        return await self._call("POST", "/messages", {"client_msg_id": message or str(uuid4()), "text": text})

    async def look(self, title: str, *, identity: str = "", kind: str = "page_view") -> httpx.Response:
        event = {
            "id": identity or str(uuid4()), "type": kind, "at": to_milliseconds(utc_now()), "title": title,
        }  # fmt: skip
        return await self._call("POST", "/events", {"events": [event]})

    async def read(self, wait: int = 0) -> list[dict[str, Any]]:
        """What is new. An app that is on the screen says that it shows it."""
        address = f"/messages?after_seq={self.last_seq}" + (f"&wait={wait}" if wait else "")
        answer = await self._call("GET", address)
        answer.raise_for_status()
        new: list[dict[str, Any]] = answer.json()["messages"]
        for one in new:
            assert one["seq"] not in self.shown, "a message came twice"
            self.shown[one["seq"]] = one
        if new and not self.is_away:
            await self._call("POST", "/ack", {"seq": self.last_seq})
        return new

    async def _call(self, method: str, path: str, form: dict[str, Any] | None = None) -> httpx.Response:
        token = self.session.get("session_token", "")
        return await self.client.request(
            method,
            f"{self.root}/v1/app/{self.account}{path}",
            json=form,
            headers={"authorization": f"Bearer {token}"} if token else {},
            timeout=POLL_SECONDS + 10,
        )


async def play(texts: Sequence[str], options: Options, *, settings: BaseModel, say: Say) -> int:
    """Ends at the first text that is not answered."""
    assert isinstance(settings, AppSettings)
    complete = settings.or_demo(options.vault)
    known = signers(complete, utc_now)
    address = urlsplit(complete.push_url)
    if not known:
        say("The app's settings name public keys only; the shop's server keeps what signs, so this cannot.")
        return NOT_POSSIBLE
    if complete.push_url and (address.hostname not in _LOCAL or address.port is None):
        say(f"Pushes go to {complete.push_url}, where nobody can look on.")
        say("Set HUILIU_APP_PUSH_URL=http://127.0.0.1:8765/push for both, and start the server again.")
        return NOT_POSSIBLE
    try:
        listener = stage.bind(address.port or 0)
    except OSError:
        say(f"Port {address.port} is taken: another simulation is running. Wait for it, or stop it.")
        return NOT_POSSIBLE
    pushed: asyncio.Queue[Notification] = asyncio.Queue()
    service = PushService(complete, utc_now, pushed.put_nowait)
    async with (
        stage.serving(service.application(), listener),
        httpx.AsyncClient(base_url=options.url, trust_env=False) as client,
    ):
        phone = Phone(
            client, known[0], options.user, device=f"phone-of-{options.user}", root=f"/t/{options.tenant}"
        )
        try:
            owner = _Owner(phone, known, options, pushed=pushed, say=say)
            return await owner.use(texts, leaves=bool(complete.push_url))
        except httpx.ConnectError:
            say(f"Nobody answers at {options.url}. Start the server with: huiliu serve")
            return NOT_POSSIBLE
        except httpx.HTTPStatusError as error:
            say(f"  refused: {stage.reason(error.response)}")
            return NOT_ANSWERED


class _Owner:
    def __init__(
        self, phone: Phone, known: Sequence[Signer], options: Options, *, pushed: asyncio.Queue[Notification],
        say: Say,
    ) -> None:  # fmt: skip
        self._phone = phone
        self._known = known
        self._options = options
        self._pushed = pushed
        self._say = say

    async def use(self, texts: Sequence[str], *, leaves: bool) -> int:
        """`leaves`: there is a push service, so the app goes to the background after the last text."""
        if self._options.forge:
            return await self._forge()
        (await self._phone.open()).raise_for_status()
        (await self._phone.register()).raise_for_status()
        self._say(f"{self._options.user} signs in with key {self._phone.signer.key_id!r} and looks around")
        (await self._phone.look("蓝色跑鞋 / blue running shoes")).raise_for_status()
        await self._phone.read()
        for number, text in enumerate(texts):
            last = leaves and number == len(texts) - 1
            result = await (self._write_and_leave(text) if last else self._write(text))
            if result != DONE:
                return result
        if not leaves:
            self._say("There is no push service (HUILIU_APP_PUSH_URL), so the app stays open.")
        return DONE

    async def _forge(self) -> int:
        self._phone.signer = Signer.of_secret(
            self._phone.signer.key_id, "the secret of somebody else who tries", utc_now
        )
        answer = await self._phone.open()
        self._say(f"  a user token with a wrong signature: {stage.reason(answer)}")
        return DONE if answer.status_code == 401 else NOT_ANSWERED

    async def _write(self, text: str) -> int:
        await self._post(text)
        return await self._wait_for_reply()

    async def _write_and_leave(self, text: str) -> int:
        self._phone.is_away = True
        await self._post(text)
        self._say("  … the app goes to the background")
        notification = await stage.next_shown(self._pushed, self._options.wait_seconds)
        if notification is None:
            self._say(f"  No push within {self._options.wait_seconds:.0f} s. Is a worker running?")
            return NOT_ANSWERED
        self._say(f"  ♪ push to {notification.data['device']}, signature right ({notification.id})")
        self._phone.signer = self._known[-1]
        (await self._phone.open()).raise_for_status()
        self._say(f"  … the app is opened again, signed in with key {self._phone.signer.key_id!r}")
        return await self._wait_for_reply()

    async def _post(self, text: str) -> None:
        self._say(f"{self._options.user} → {text}")
        message = str(uuid4())
        answers = await asyncio.gather(
            *(self._phone.write(text, message) for _ in range(self._options.duplicate))
        )
        for answer in answers:
            answer.raise_for_status()
        if len(answers) > 1:
            new = sum(answer.status_code == 201 for answer in answers)
            self._say(f"  sent {len(answers)} times at once: {new} new")

    async def _wait_for_reply(self) -> int:
        deadline = asyncio.get_running_loop().time() + self._options.wait_seconds
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            new = await self._phone.read(wait=max(1, min(POLL_SECONDS, int(left))))
            replies = [one for one in new if one["role"] in ("bot", "agent")]
            for one in replies:
                self._say(f"  ← {one['text']}")
                for choice in one.get("choices", ()):
                    self._say(f"    [{choice['label']}]")
            if replies:
                return DONE
        self._say(
            f"  No reply within {self._options.wait_seconds:.0f} s. Is a worker running, and is it free?"
        )
        return NOT_ANSWERED
