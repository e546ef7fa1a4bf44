"""What connects one mini program; see `channels.families.wechat.account` for what an Official Account shares with it."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from channels.families.wechat.account import AccountSettings

NAME = "wechat_mini"


class WechatMiniSettings(AccountSettings):
    channel: ClassVar[str] = NAME

    typing_path: str = Field(
        "/cgi-bin/message/custom/typing",
        pattern=r"^/[\w./-]+$",
        description="Path of the typing sign; newer lists of the platform show /cgi-bin/message/custom/business/typing",
    )
