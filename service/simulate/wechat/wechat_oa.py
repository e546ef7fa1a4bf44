"""Plays WeChat and one of its customers: texts in, posted as WeChat posts them; what the customer sees is said.

Behind `huiliu simulate wechat_oa`. Both halves of the platform are here: the calls to our webhook (signed, encrypted,
5 seconds of patience, three attempts with one MsgId) and, on the local port that the settings' `api_base` names, the API
through which the server replies. Credentials are those of the server: configured, or the demo's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel

from channels.adapters.wechat_oa.settings import NAME, WechatOaSettings
from channels.families.wechat import codec as wechat_codec
from foundation import errors
from foundation.clock import utc_now
from service.simulate.contract import DONE, NOT_ANSWERED, NOT_POSSIBLE, Options, Say
from service.simulate.stage import bind, next_shown, reason, serving
from service.simulate.wechat.wechat_api import Shown, WechatApi
from service.simulate.wechat.wechat_callback import Call, openid_of, render_call, text_fields

PATIENCE_SECONDS = 5.0
ATTEMPTS = 3
_LOCAL = ("127.0.0.1", "localhost")

Outcome = Literal["taken", "refused", "unreachable"]


async def play(texts: Sequence[str], options: Options, *, settings: BaseModel, say: Say) -> int:
    """Ends at the first text that is not answered."""
    assert isinstance(settings, WechatOaSettings)
    account = settings.or_demo(options.vault)
    address = urlsplit(account.api_base)
    if address.hostname not in _LOCAL or address.port is None:
        say(f"The server replies to {account.api_base}, where nobody can look on.")
        say("Set HUILIU_WECHAT_OA_API_BASE=http://127.0.0.1:8765 for both, and start the server again.")
        return NOT_POSSIBLE
    try:
        listener = bind(address.port)
    except OSError:
        say(f"Port {address.port} is taken: another simulation is running. Wait for it, or stop it.")
        return NOT_POSSIBLE
    shown: asyncio.Queue[Shown] = asyncio.Queue()
    api = WechatApi(account.app_id, account.app_secret.get_secret_value(), utc_now, shown.put_nowait)
    async with serving(api.application(), listener), httpx.AsyncClient(trust_env=False) as client:
        customer = _Customer(account, options, client=client, api=api, shown=shown, say=say)
        for text in texts:
            result = await customer.write(text)
            if result != DONE:
                return result
    return DONE


class _Customer:
    """One customer's phone and the platform behind it."""

    def __init__(
        self, account: WechatOaSettings, options: Options, *, client: httpx.AsyncClient, api: WechatApi,
        shown: asyncio.Queue[Shown], say: Say,
    ) -> None:  # fmt: skip
        self._account = account
        self._options = options
        self._client = client
        self._api = api
        self._shown = shown
        self._say = say
        self._openid = openid_of(options.user)
        self._menu: dict[str, str] = {}

    async def write(self, text: str) -> int:
        self._say(f"{self._options.user} → {text}")
        outcome = await self._post(self._fields(text))
        if outcome == "unreachable":
            return NOT_POSSIBLE
        if self._options.forge:
            if outcome == "taken":
                self._say("The server took a message with a wrong signature.")
            return DONE if outcome == "refused" else NOT_ANSWERED
        if outcome == "refused":
            return NOT_ANSWERED
        return await self._look()

    def _fields(self, text: str) -> dict[str, str]:
        """A text that stands on the last menu is a tap on it."""
        tapped = self._menu.get(text)
        self._api.note_action(self._openid, "message" if tapped is None else "menu")
        fields = text_fields(self._account, self._openid, text, utc_now())
        return fields if tapped is None else {**fields, "bizmsgmenuid": tapped}

    async def _post(self, fields: dict[str, str]) -> Outcome:
        xml = wechat_codec.render_xml(fields)
        for attempt in range(1, ATTEMPTS + 1):
            call = render_call(self._account, xml, mode=self._options.mode, at=utc_now())
            if self._options.forge:
                call = call.forged()
            answers = await asyncio.gather(*(self._send(call) for _ in range(self._options.duplicate)))
            outcome = self._judge(answers)
            if outcome is not None:
                return outcome
            self._say(
                f"  attempt {attempt} of {ATTEMPTS}: no acknowledgement within {PATIENCE_SECONDS:.0f} s"
            )
        self._say("  WeChat gives up and tells the customer that the service is unavailable.")
        return "refused"

    async def _send(self, call: Call) -> httpx.Response | httpx.HTTPError:
        path = f"/v1/hooks/{self._options.tenant}/{NAME}"
        try:
            return await self._client.post(
                self._options.url.rstrip("/") + path,
                params=dict(call.query),
                content=call.body,
                headers={"content-type": "text/xml"},
                timeout=PATIENCE_SECONDS,
            )
        except httpx.HTTPError as error:
            return error

    def _judge(self, answers: Sequence[httpx.Response | httpx.HTTPError]) -> Outcome | None:
        """None: worth another attempt."""
        if any(isinstance(answer, httpx.ConnectError) for answer in answers):
            self._say(f"Nobody answers at {self._options.url}. Start the server with: huiliu serve")
            return "unreachable"
        responses = [answer for answer in answers if isinstance(answer, httpx.Response)]
        taken = [response for response in responses if response.status_code == 200]
        refused = [response for response in responses if 400 <= response.status_code < 500]
        if len(answers) > 1:
            self._say(f"  sent {len(answers)} times at once: {len(taken)} acknowledged")
        if taken:
            self._say_passive(taken[0].content)
            return "taken"
        if refused:
            self._say(f"  refused: {reason(refused[0])}")
            return "refused"
        return None

    def _say_passive(self, body: bytes) -> None:
        if body in (b"success", b""):
            return
        try:
            self._say(f"  ← {wechat_codec.parse_fields(body).get('Content', '(not a text)')}")
        except errors.UnreadablePayload:
            self._say(
                "  WeChat cannot read this answer and tells the customer that the service is unavailable."
            )

    async def _look(self) -> int:
        """Waits for the first reply, then until nothing more comes."""
        count, patience = 0, self._options.wait_seconds
        while (seen := await next_shown(self._shown, patience)) is not None:
            if seen.openid != self._openid:
                self._say("  (a reply to another customer)")
                continue
            self._say_seen(seen)
            if seen.kind != "typing":
                count, patience = count + 1, self._options.quiet_seconds
        if not count:
            self._say(
                f"  No reply within {patience:.0f} s. Is a worker running, and is it free? A conversation that a"
            )
            self._say(
                "  person holds, or that waits for one, gets no reply from the bot: take another --user."
            )
        return DONE if count else NOT_ANSWERED

    def _say_seen(self, seen: Shown) -> None:
        if seen.kind == "typing":
            self._say("  … is typing")
            return
        self._say(f"  ← {seen.text}")
        if seen.choices:
            self._menu = {label: chosen for chosen, label in seen.choices}
        for _, label in seen.choices:
            self._say(f"    [{label}]")
