"""What WeChat would post to us: a customer's words in, a signed and possibly encrypted call out; pure.

The simulator sends these calls over the wire, tests hand them to the channel.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal

from channels.adapters.wechat_oa.settings import WechatOaSettings
from channels.families.wechat import codec as wechat_codec
from channels.families.wechat.crypto import Cipher, sign
from service.simulate.contract import Call

Fields = Mapping[str, str]
_HEADERS = {"content-type": "text/xml"}


def forged(call: Call) -> Call:
    """The same call, signed by somebody who does not know the token."""
    wrong = {name: "0" * 40 for name in ("signature", "msg_signature") if name in call.query}
    return replace(call, query={**call.query, **wrong})


def openid_of(user: str) -> str:
    """Always the same for one name, in the platform's form."""
    digest = hashlib.sha256(f"openid of {user}".encode()).digest()
    return "o" + base64.urlsafe_b64encode(digest)[:27].decode()


def new_message_id() -> str:
    """64 bits, as the platform's."""
    return str(secrets.randbits(62) + 2**62)


def text_fields(settings: WechatOaSettings, openid: str, text: str, sent_at: datetime) -> dict[str, str]:
    return {
        "ToUserName": settings.original_id or "gh_simulated",
        "FromUserName": openid,
        "CreateTime": str(int(sent_at.timestamp())),
        "MsgType": "text",
        "Content": text,
        "MsgId": new_message_id(),
    }


def render_call(
    settings: WechatOaSettings, xml: bytes, *, mode: Literal["plain", "secure"], at: datetime, nonce: str = ""
) -> Call:
    """Signed with the current token and key of `settings`."""
    token = settings.token.get_secret_value()
    timestamp, nonce = str(int(at.timestamp())), nonce or secrets.token_hex(8)
    query = {"timestamp": timestamp, "nonce": nonce, "signature": sign(token, timestamp, nonce)}
    if mode == "plain":
        return Call(xml, query, _HEADERS)
    encrypted = Cipher(settings.encoding_aes_key.get_secret_value(), settings.app_id).encrypt(xml)
    query |= {"encrypt_type": "aes", "msg_signature": sign(token, timestamp, nonce, encrypted)}
    account = wechat_codec.parse_fields(xml).get("ToUserName", "")
    return Call(wechat_codec.render_xml({"ToUserName": account, "Encrypt": encrypted}), query, _HEADERS)
