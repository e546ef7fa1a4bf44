"""Plays a mini program's customer messages and one of its customers for the stage, by the platform's documented rules."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import httpx
from pydantic import BaseModel
from starlette.types import ASGIApp

from channels.adapters.wechat_mini.settings import WechatMiniSettings
from channels.families.wechat.codec import render_xml
from channels.families.wechat.crypto import Cipher, sign
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown
from service.simulate.wechat import wechat_api
from service.simulate.wechat.wechat_api import WechatApi
from service.simulate.wechat.wechat_callback import forged, new_message_id, openid_of

ENTER = "/enter"
"""Said instead of a text: the customer opens the conversation."""
_NUMBERS = ("CreateTime", "MsgId")

Form = Literal["json", "xml"]


class WechatMiniPlatform:
    """Keeps `contract.Platform`. `form` is what was chosen in the console."""

    patience_seconds = 5.0

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        assert isinstance(settings, WechatMiniSettings)
        self._settings = settings.or_demo(options.vault)
        self._mode = options.mode
        self._clock = clock
        self._show = show
        self._users: dict[str, str] = {}
        self.form: Form = "json"
        secret = self._settings.app_secret.get_secret_value()
        self.api = WechatApi(self._settings.app_id, secret, clock, self._tell, menus=False)

    @property
    def address(self) -> str:
        return self._settings.api_base

    def application(self) -> ASGIApp:
        return self.api.application()

    def say(self, text: str, *, user: str) -> Call:
        openid = openid_of(user)
        self._users[openid] = user
        self.api.note_action(openid, "enter" if text == ENTER else "message")
        if text == ENTER:
            return self.call(
                openid, {"MsgType": "event", "Event": "user_enter_tempsession", "SessionFrom": "simulated"}
            )
        return self.call(openid, {"MsgType": "text", "Content": text, "MsgId": new_message_id()})

    def call(self, openid: str, fields: Mapping[str, str]) -> Call:
        account = self._settings.original_id or "gh_simulated"
        head = {
            "ToUserName": account,
            "FromUserName": openid,
            "CreateTime": str(int(self._clock().timestamp())),
        }
        return self.post(self.render({**head, **fields}))

    def render(self, fields: Mapping[str, str]) -> bytes:
        if self.form == "xml":
            return render_xml(fields)
        typed = {name: int(value) if name in _NUMBERS else value for name, value in fields.items()}
        return json.dumps(typed, ensure_ascii=False).encode()

    def post(self, message: bytes, *, nonce: str = "", mode: str = "") -> Call:
        """Signed with the current token, and encrypted with the current key in mode secure."""
        token = self._settings.token.get_secret_value()
        timestamp, nonce = str(int(self._clock().timestamp())), nonce or secrets.token_hex(8)
        query = {"timestamp": timestamp, "nonce": nonce, "signature": sign(token, timestamp, nonce)}
        if (mode or self._mode) == "plain":
            return Call(message, query)
        key = self._settings.encoding_aes_key.get_secret_value()
        encrypted = Cipher(key, self._settings.app_id).encrypt(message)
        query |= {"encrypt_type": "aes", "msg_signature": sign(token, timestamp, nonce, encrypted)}
        return Call(self.render({"ToUserName": self._settings.original_id, "Encrypt": encrypted}), query)

    def forge(self, call: Call) -> Call:
        return forged(call)

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        return ()

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    def _tell(self, seen: wechat_api.Shown) -> None:
        user = self._users.get(seen.openid, seen.openid)
        self._show(Shown(user, "typing" if seen.kind == "typing" else "text", seen.text))
