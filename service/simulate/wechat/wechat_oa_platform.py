"""An official account and one of its customers as a `Platform`, for whoever plays many platforms at once.

`huiliu simulate wechat_oa` has a stage of its own, which can also hear passive answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import httpx
from pydantic import BaseModel
from starlette.types import ASGIApp

from channels.adapters.wechat_oa.settings import WechatOaSettings
from channels.families.wechat.codec import render_xml
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown
from service.simulate.wechat import wechat_api
from service.simulate.wechat.wechat_api import WechatApi
from service.simulate.wechat.wechat_callback import openid_of, render_call, text_fields


class WechatOaPlatform:
    """Keeps `contract.Platform`."""

    patience_seconds = 5.0

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        assert isinstance(settings, WechatOaSettings)
        self.settings = settings.or_demo(options.vault)
        self.address = self.settings.api_base
        self._clock = clock
        self._show = show
        self._users: dict[str, str] = {}
        self._menu: dict[str, str] = {}
        secret = self.settings.app_secret.get_secret_value()
        self.api = WechatApi(self.settings.app_id, secret, clock, self._tell)

    def application(self) -> ASGIApp:
        return self.api.application()

    def say(self, text: str, *, user: str) -> Call:
        openid = openid_of(user)
        self._users[openid] = user
        tapped = self._menu.get(text)
        self.api.note_action(openid, "message" if tapped is None else "menu")
        fields = text_fields(self.settings, openid, text, self._clock())
        return self.call(fields if tapped is None else {**fields, "bizmsgmenuid": tapped})

    def call(self, fields: Mapping[str, str]) -> Call:
        made = render_call(self.settings, render_xml(fields), mode="secure", at=self._clock())
        return Call(made.body, made.query, {"content-type": "text/xml"})

    def forge(self, call: Call) -> Call:
        return Call(call.body, {**call.query, "signature": "0" * 40, "msg_signature": "0" * 40}, call.headers)

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        return ()

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    def _tell(self, seen: wechat_api.Shown) -> None:
        if seen.choices:
            self._menu = {label: chosen for chosen, label in seen.choices}
        kind = "typing" if seen.kind == "typing" else "text"
        self._show(Shown(self._users.get(seen.openid, seen.openid), kind, seen.text, seen.choices))  # type: ignore[arg-type]  # one of two
