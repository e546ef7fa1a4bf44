"""What connects one Official Account; see `channels.families.wechat.account` for what a mini program shares with it."""

from __future__ import annotations

from typing import ClassVar

from channels.families.wechat.account import AccountSettings
from foundation.security import Vault

NAME = "wechat_oa"


class WechatOaSettings(AccountSettings):
    channel: ClassVar[str] = NAME


def demo_settings(vault: Vault) -> WechatOaSettings:
    return WechatOaSettings().or_demo(vault)
