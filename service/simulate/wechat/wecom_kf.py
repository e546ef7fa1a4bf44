"""Plays WeChat customer service and one of its customers for the stage: texts lie in the inbox, the callback rings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import httpx
from pydantic import BaseModel
from starlette.types import ASGIApp

from channels.adapters.wecom_kf.settings import WecomKfSettings
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown
from service.simulate.wechat import wecom
from service.simulate.wechat.wecom_kf_api import KfApi

ENTER = "/enter"
"""Said instead of a text: the customer opens the session."""


class WecomKfPlatform:
    """Keeps `contract.Platform`."""

    patience_seconds = 5.0

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        assert isinstance(settings, WecomKfSettings)
        self._settings = settings.or_demo(options.vault)
        self._clock = clock
        self._show = show
        self._users: dict[str, str] = {}
        self._menus: dict[str, dict[str, str]] = {}
        accounts = self._settings.accounts or ("wkSimulated",)
        self.api = KfApi(wecom.Corporation(self._settings, clock), accounts, clock, self._tell)

    @property
    def address(self) -> str:
        return self._settings.api_base

    def application(self) -> ASGIApp:
        return self.api.application()

    def say(self, text: str, *, user: str) -> Call:
        """A text that stands on the last menu is a tap on it."""
        customer = self.customer(user)
        if text == ENTER:
            self.api.enter(customer)
        else:
            self.api.write(customer, text, menu_id=self._menus.get(customer, {}).get(text, ""))
        return self.bell()

    def bell(self, account: str = "") -> Call:
        now = self._clock()
        fields = {
            "ToUserName": self._settings.corp_id, "CreateTime": str(int(now.timestamp())), "MsgType": "event",
            "Event": "kf_msg_or_event", "Token": self.api.ring(), "OpenKfId": account or self.api.accounts[0],
        }  # fmt: skip
        return wecom.render_callback(self._settings, fields, at=now)

    def customer(self, user: str) -> str:
        customer = wecom.id_of(user, "wm")
        self._users[customer] = user
        return customer

    def forge(self, call: Call) -> Call:
        """Whoever does not know the secret can put nothing into the inbox either."""
        self.api.take_back()
        return wecom.forged(call)

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        return ()

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    def _tell(self, shown: Shown) -> None:
        if shown.choices:
            self._menus[shown.user] = {label: value for value, label in shown.choices}
        self._show(replace(shown, user=self._users.get(shown.user, shown.user)))
