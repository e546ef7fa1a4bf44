"""Plays WeChat's official accounts and their customers for the stage, by the platform's documented rules.

Calls are signed and, in mode secure, encrypted; a text that stands on the last menu is a tap on it. What stands in the
answer to a call is shown to the customer as WeChat would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx
from pydantic import BaseModel
from starlette.types import ASGIApp

from channels.adapters.wechat_oa.settings import WechatOaSettings
from channels.families.wechat import codec as wechat_codec
from foundation import errors
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown
from service.simulate.wechat import wechat_api
from service.simulate.wechat.wechat_api import WechatApi
from service.simulate.wechat.wechat_callback import forged, openid_of, render_call, text_fields

_QUIET = (b"success", b"")
UNREADABLE = "(WeChat cannot read this answer and tells the customer that the service is unavailable)"


class WechatOaPlatform:
    """Keeps `contract.Platform`."""

    patience_seconds = 5.0

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        assert isinstance(settings, WechatOaSettings)
        self._settings = settings.or_demo(options.vault)
        self._mode = options.mode
        self._clock = clock
        self._show = show
        self._users: dict[str, str] = {}
        self._menus: dict[str, dict[str, str]] = {}
        secret = self._settings.app_secret.get_secret_value()
        self.api = WechatApi(self._settings.app_id, secret, clock, self._tell)

    @property
    def address(self) -> str:
        return self._settings.api_base

    def application(self) -> ASGIApp:
        return self.api.application()

    def say(self, text: str, *, user: str) -> Call:
        openid, now = openid_of(user), self._clock()
        self._users[openid] = user
        tapped = self._menus.get(openid, {}).get(text)
        self.api.note_action(openid, "message" if tapped is None else "menu")
        fields = text_fields(self._settings, openid, text, now)
        if tapped is not None:
            fields["bizmsgmenuid"] = tapped
        return render_call(self._settings, wechat_codec.render_xml(fields), mode=self._mode, at=now)

    def forge(self, call: Call) -> Call:
        return forged(call)

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        if answer.content in _QUIET:
            return ()
        try:
            said = wechat_codec.parse_fields(answer.content).get("Content", "(not a text)")
        except errors.UnreadablePayload:
            said = UNREADABLE
        return (Shown(user, text=said),)

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    def _tell(self, seen: wechat_api.Shown) -> None:
        if seen.choices:
            self._menus[seen.openid] = {label: chosen for chosen, label in seen.choices}
        user, kind = self._users.get(seen.openid, seen.openid), seen.kind
        self._show(Shown(user, "typing" if kind == "typing" else "text", seen.text, seen.choices))
