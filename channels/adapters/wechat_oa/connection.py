"""Calls WeChat's API for one Official Account: a body in, nothing or an error of our tree out.

`channel.py` sends, shows typing and fetches media through it; tokens and codes are `channels.families.wechat.api`'s.
"""

from __future__ import annotations

import httpx

from channels.adapters.wechat_oa.settings import NAME, WechatOaSettings
from channels.contract import Surroundings
from channels.families.wechat import api as wechat_api
from channels.families.wechat import refusals as wechat_refusals
from channels.platforms.api import Api
from channels.platforms.shelf import Shelf
from channels.promises import Media

TYPING_REFUSED_QUIETLY = frozenset({45080, 45081})
"""No message within the last 30 s, or already typing: neither is worth a word."""


class Connection:
    def __init__(
        self, settings: WechatOaSettings, surroundings: Surroundings, *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        api = Api(NAME, "WeChat", settings.api_base, transport=transport)
        fetch = wechat_api.stable_token(api, settings.app_id, settings.app_secret.get_secret_value())
        self._api = wechat_api.TokenApi(api, Shelf(NAME, surroundings), fetch, wechat_refusals.WECHAT)

    async def close(self) -> None:
        await self._api.close()

    async def custom_send(self, body: bytes) -> None:
        """Raises `UpstreamUnavailable`, `UpstreamRefused`, `UnsupportedContent` or `Exhausted`."""
        await self._api.post("/cgi-bin/message/custom/send", body)

    async def typing(self, body: bytes) -> None:
        code = await self._api.post_for_code("/cgi-bin/message/custom/typing", body)
        if code not in TYPING_REFUSED_QUIETLY:
            self._api.raise_for_code(code)

    async def media(self, media_id: str) -> Media:
        return await self._api.download("/cgi-bin/media/get", media_id=media_id)

    async def count_addresses(self) -> int:
        """How many addresses the API has: the most harmless question that needs the credentials."""
        answer = await self._api.get("/cgi-bin/get_api_domain_ip")
        return len(answer.get("ip_list") or ())
