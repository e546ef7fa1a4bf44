"""The channels there are: one line each. `service.wiring` builds the ones that the settings open."""

from __future__ import annotations

from channels.adapters import dingtalk, douyin, feishu, kuaishou, web_chat, wechat_oa, weibo
from channels.contract import ChannelSpec

CHANNELS: tuple[ChannelSpec, ...] = (
    web_chat.SPEC,
    wechat_oa.SPEC,
    feishu.SPEC,
    dingtalk.SPEC,
    weibo.SPEC,
    douyin.SPEC,
    kuaishou.SPEC,
)
