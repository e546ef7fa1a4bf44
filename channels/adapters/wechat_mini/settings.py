"""What connects one mini program; see `channels.wechat_account` for what an Official Account shares with it."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from channels.wechat_account import AccountSettings

NAME = "wechat_mini"


class WechatMiniSettings(AccountSettings):
    channel: ClassVar[str] = NAME

    typing_path: str = Field(
        "/cgi-bin/message/custom/typing",
        pattern=r"^/[\w./-]+$",
        description="Path of the typing sign; newer lists of the platform show /cgi-bin/message/custom/business/typing",
    )
