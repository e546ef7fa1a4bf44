"""Calls WeCom's customer service API: a page of messages, a reply, a session. Raises errors of our tree only.

`channel.py` sends through it, `puller.py` fetches; tokens and codes are `channels.families.wechat.api`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from channels.adapters.wecom_kf.settings import NAME, WecomKfSettings
from channels.families.wechat import api as wechat_api
from channels.families.wechat import refusals as wechat_refusals
from channels.families.wechat.codec import render_json
from channels.platforms.api import Api
from channels.platforms.shelf import Shelf
from channels.promises import Media
from foundation import errors

PAGE = 1000
ACCOUNTS_PAGE = 100

SessionState = Literal[0, 1, 2, 3, 4]
"""New, with us, in the queue, with a servicer, ended."""


@dataclass(frozen=True, slots=True)
class Page:
    items: Sequence[Any]
    next_cursor: str
    more: bool


class Connection:
    def __init__(
        self, settings: WecomKfSettings, shelf: Shelf, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        api = Api(NAME, "WeCom", settings.api_base, transport=transport)
        fetch = wechat_api.corporation_token(api, settings.corp_id, settings.secret.get_secret_value())
        self._api = wechat_api.TokenApi(api, shelf, fetch, wechat_refusals.WECOM)
        self.is_played = api.is_played
        self._voice_format = 1 if settings.voice_format == "silk" else 0

    async def close(self) -> None:
        await self._api.close()

    async def sync(self, open_kfid: str, cursor: str, token: str) -> Page:
        """What stands behind `cursor`; without one, all that the platform keeps (three days)."""
        asked: dict[str, Any] = {"open_kfid": open_kfid, "limit": PAGE, "voice_format": self._voice_format}
        asked |= {name: value for name, value in (("cursor", cursor), ("token", token)) if value}
        answer = await self._api.post("/cgi-bin/kf/sync_msg", render_json(asked))
        items = answer.get("msg_list")
        return Page(
            items if isinstance(items, list) else (),
            str(answer.get("next_cursor") or ""),
            answer.get("has_more") == 1,
        )

    async def send(self, body: bytes) -> str:
        return str((await self._api.post("/cgi-bin/kf/send_msg", body)).get("msgid") or "")

    async def send_on_event(self, body: bytes) -> str:
        return str((await self._api.post("/cgi-bin/kf/send_msg_on_event", body)).get("msgid") or "")

    async def session(self, open_kfid: str, customer: str) -> SessionState:
        asked = {"open_kfid": open_kfid, "external_userid": customer}
        answer = await self._api.post("/cgi-bin/kf/service_state/get", render_json(asked))
        state = answer.get("service_state")
        if state not in (0, 1, 2, 3, 4):
            raise errors.UpstreamUnavailable("WeCom's answer has no state.", code=f"{NAME}_unreadable")
        found: SessionState = state
        return found

    async def move(self, open_kfid: str, customer: str, state: SessionState, servicer: str = "") -> str:
        """Returns the code with which one sentence about the change may be said, "" where there is none."""
        asked: dict[str, Any] = {"open_kfid": open_kfid, "external_userid": customer, "service_state": state}
        if servicer:
            asked["servicer_userid"] = servicer
        answer = await self._api.post("/cgi-bin/kf/service_state/trans", render_json(asked))
        return str(answer.get("msg_code") or "")

    async def accounts(self) -> dict[str, str]:
        """Name of each customer service account that the app may manage, by its id."""
        found: dict[str, str] = {}
        while True:
            asked = {"offset": len(found), "limit": ACCOUNTS_PAGE}
            listed = (await self._api.post("/cgi-bin/kf/account/list", render_json(asked))).get(
                "account_list"
            ) or []
            before = len(found)
            found |= {str(one.get("open_kfid", "")): str(one.get("name", "")) for one in listed}
            if len(listed) < ACCOUNTS_PAGE or len(found) == before:
                return found

    async def media(self, media_id: str) -> Media:
        return await self._api.download("/cgi-bin/media/get", media_id=media_id)
