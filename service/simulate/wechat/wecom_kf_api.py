"""WeCom's customer service API by its documented rules: an ASGI application that stands where qyapi.weixin.qq.com stands.

It keeps what the platform keeps: one inbox for each account for three days, read with a cursor; five messages within 48
hours after a customer's last one; a welcome with a code of 20 seconds; sessions that people may hold.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from foundation.clock import Clock, to_milliseconds
from service.simulate.contract import Shown
from service.simulate.wechat.wecom import TEXT_LIMIT_BYTES, Corporation, answer, parse_json

PAGE = 1000
KEPT = timedelta(days=3)
WINDOW = timedelta(hours=48)
QUOTA = 5
WELCOME_SECONDS = 20
BELL_SECONDS = 600
MENU_HEAD_BYTES = 1024
MENU_ITEM_BYTES = 128
_MSGID = re.compile(r"[0-9a-zA-Z_-]{0,32}\Z")
_MAY_SEND = (0, 1)


@dataclass(slots=True)
class Session:
    wrote_at: datetime | None = None
    left: int = 0
    state: int = 0


@dataclass(slots=True)
class KfApi:
    """The accounts of one corporation. `show` is called with the customer's id for everything that reaches them."""

    corporation: Corporation
    accounts: tuple[str, ...]
    clock: Clock
    show: Callable[[Shown], None]
    servicers: frozenset[str] = frozenset()
    calls_without_bell: int = 0
    sessions: dict[tuple[str, str], Session] = field(default_factory=dict)
    _inbox: list[tuple[str, datetime, dict[str, Any]]] = field(default_factory=list)
    _bells: dict[str, datetime] = field(default_factory=dict)
    _welcomes: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    _sent: set[str] = field(default_factory=set)

    def application(self) -> Starlette:
        routes = [
            Route("/cgi-bin/gettoken", self.corporation.get_token, methods=["GET"]),
            Route("/cgi-bin/media/get", self.corporation.get_media, methods=["GET"]),
        ]
        calls = {
            "sync_msg": self._sync, "send_msg": self._send, "send_msg_on_event": self._send_on_event,
            "service_state/get": self._state, "service_state/trans": self._move, "account/list": self._list,
        }  # fmt: skip
        return Starlette(
            routes=[
                *routes,
                *(Route(f"/cgi-bin/kf/{n}", self._guarded(c), methods=["POST"]) for n, c in calls.items()),
            ]
        )

    def write(self, customer: str, text: str, *, account: str = "", menu_id: str = "") -> None:
        """The customer writes, which opens a new window."""
        account = account or self.accounts[0]
        content = {"content": text, "menu_id": menu_id} if menu_id else {"content": text}
        self.put(account, customer, {"origin": 3, "msgtype": "text", "text": content})
        self.note_action(customer, account=account)

    def note_action(self, customer: str, *, account: str = "") -> None:
        session = self._session(account or self.accounts[0], customer)
        session.wrote_at, session.left = self.clock(), QUOTA
        session.state = 0 if session.state == 4 else session.state

    def enter(self, customer: str, *, account: str = "", welcome: bool = True) -> str:
        """The customer opens the session; returns the code for the welcome."""
        account = account or self.accounts[0]
        event = {
            "event_type": "enter_session",
            "open_kfid": account,
            "external_userid": customer,
            "scene": "shop",
        }
        code = secrets.token_urlsafe(12) if welcome else ""
        if code:
            event["welcome_code"] = code
            self._welcomes[code] = (customer, self.clock() + timedelta(seconds=WELCOME_SECONDS))
        self.put(account, "", {"origin": 4, "msgtype": "event", "event": event})
        return code

    def put(self, account: str, customer: str, item: dict[str, Any]) -> None:
        """Anything into an account's inbox; an item may bring its own msgid."""
        now = self.clock()
        key = f"{to_milliseconds(now):015d}-{len(self._inbox):08d}"
        head = {"msgid": secrets.token_hex(12), "send_time": int(now.timestamp())}
        if item.get("msgtype") != "event":
            head |= {"open_kfid": account, "external_userid": customer}
        self._inbox.append((key, now, {**head, **item, "_account": account}))

    def take_back(self) -> None:
        """What was put last."""
        self._inbox.pop()

    def ring(self) -> str:
        """The token of a callback."""
        token = f"ENC{secrets.token_urlsafe(16)}"
        self._bells[token] = self.clock() + timedelta(seconds=BELL_SECONDS)
        return token

    def _guarded(self, call: Callable[[dict[str, Any]], Response]) -> Callable[[Request], Any]:
        async def answered(request: Request) -> Response:
            asked = parse_json(await request.body())
            code = self.corporation.refuse(request)
            return answer(code) if code else call(asked)

        return answered

    def _sync(self, asked: dict[str, Any]) -> Response:
        account, limit, token = asked.get("open_kfid"), asked.get("limit", PAGE), asked.get("token", "")
        if account not in self.accounts:
            return answer(95004)
        if not isinstance(limit, int) or not 1 <= limit <= PAGE:
            return answer(40058)
        if token and self.clock() >= self._bells.get(token, datetime.min.replace(tzinfo=self.clock().tzinfo)):
            return answer(95007)
        self.calls_without_bell += 0 if token else 1
        cursor, since = str(asked.get("cursor", "")), self.clock() - KEPT
        behind = [
            (key, item) for key, at, item in self._inbox
            if item["_account"] == account and key > cursor and at >= since
        ]  # fmt: skip
        page = behind[:limit]
        items = [{name: value for name, value in item.items() if name != "_account"} for _, item in page]
        reached = page[-1][0] if page else cursor
        return answer(0, next_cursor=reached, has_more=int(len(behind) > len(page)), msg_list=items)

    def _send(self, asked: dict[str, Any]) -> Response:
        customer, account = str(asked.get("touser", "")), str(asked.get("open_kfid", ""))
        if account not in self.accounts:
            return answer(95004)
        session = self._session(account, customer)
        if session.state not in _MAY_SEND:
            return answer(95018)
        if session.wrote_at is None or self.clock() >= session.wrote_at + WINDOW:
            return answer(95002)
        if not session.left:
            return answer(95001)
        code = self._deliver(customer, asked)
        session.left -= code == 0
        return answer(code, msgid=asked.get("msgid") or secrets.token_hex(12)) if code == 0 else answer(code)

    def _send_on_event(self, asked: dict[str, Any]) -> Response:
        customer, until = self._welcomes.pop(str(asked.get("code", "")), ("", self.clock()))
        if not customer or self.clock() >= until:
            return answer(40058)
        code = self._deliver(customer, asked)
        return answer(code, msgid=asked.get("msgid") or secrets.token_hex(12)) if code == 0 else answer(code)

    def _state(self, asked: dict[str, Any]) -> Response:
        session = self._session(str(asked.get("open_kfid")), str(asked.get("external_userid")))
        return answer(0, service_state=session.state, servicer_userid="")

    def _move(self, asked: dict[str, Any]) -> Response:
        session = self._session(str(asked.get("open_kfid")), str(asked.get("external_userid")))
        state = asked.get("service_state")
        if session.state == 4 or state not in (1, 2, 3, 4):
            return answer(95016)
        if state == 3 and asked.get("servicer_userid") not in self.servicers:
            return answer(95014)
        session.state = state
        return answer(0, msg_code=secrets.token_urlsafe(9))

    def _list(self, _asked: dict[str, Any]) -> Response:
        listed = [
            {"open_kfid": name, "name": f"Shop {number}"} for number, name in enumerate(self.accounts, 1)
        ]
        return answer(0, account_list=listed)

    def _session(self, account: str, customer: str) -> Session:
        return self.sessions.setdefault((account, customer), Session())

    def _deliver(self, customer: str, asked: dict[str, Any]) -> int:
        msgid = str(asked.get("msgid", ""))
        if not _MSGID.match(msgid):
            return 40058
        shown, code = _shown(customer, asked)
        if shown is None:
            return code
        if msgid not in self._sent:
            self.show(shown)
        if msgid:
            self._sent.add(msgid)
        return 0


def _shown(customer: str, asked: dict[str, Any]) -> tuple[Shown | None, int]:
    kind = asked.get("msgtype")
    if kind == "text":
        text = str(asked["text"]["content"])
        if not text:
            return None, 44004
        return (None, 45002) if len(text.encode()) > TEXT_LIMIT_BYTES else (Shown(customer, text=text), 0)
    if kind != "msgmenu":
        return None, 40008
    head = str(asked["msgmenu"].get("head_content", ""))
    clicks = [item["click"] for item in asked["msgmenu"]["list"]]
    choices = tuple((str(click["id"]), str(click["content"])) for click in clicks)
    fits = all(0 < len(text.encode()) <= MENU_ITEM_BYTES for choice in choices for text in choice)
    if not fits or len(head.encode()) > MENU_HEAD_BYTES:
        return None, 40058
    return Shown(customer, text=head, choices=choices), 0
