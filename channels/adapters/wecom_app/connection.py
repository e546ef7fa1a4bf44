"""Calls WeCom's API for one self-built app: a body in, an id or an error of our tree out."""

from __future__ import annotations

import httpx

from channels.adapters.wecom_app.settings import NAME, WecomAppSettings
from channels.contract import Surroundings
from channels.families.wechat import api as wechat_api
from channels.families.wechat import refusals as wechat_refusals
from channels.platforms.api import Api
from channels.platforms.shelf import Shelf
from channels.promises import Media
from foundation import errors


class Connection:
    def __init__(
        self, settings: WecomAppSettings, surroundings: Surroundings, *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        api = Api(NAME, "WeCom", settings.api_base, transport=transport)
        fetch = wechat_api.corporation_token(api, settings.corp_id, settings.secret.get_secret_value())
        self._api = wechat_api.TokenApi(api, Shelf(NAME, surroundings), fetch, wechat_refusals.WECOM)

    async def close(self) -> None:
        await self._api.close()

    async def send(self, body: bytes) -> str:
        """WeCom says 0 and names whom it did not reach; with one recipient that is a refusal."""
        answer = await self._api.post("/cgi-bin/message/send", body)
        if answer.get("invaliduser") or answer.get("unlicenseduser"):
            raise errors.UpstreamRefused(
                "WeCom cannot reach this member: not in the app's visible range, or without a licence.",
                code=f"{NAME}_unknown_recipient",
            )
        return str(answer.get("msgid") or "")

    async def app_name(self, agent_id: str) -> str:
        return str((await self._api.get("/cgi-bin/agent/get", agentid=agent_id)).get("name") or agent_id)

    async def media(self, media_id: str) -> Media:
        return await self._api.download("/cgi-bin/media/get", media_id=media_id)
