"""The channels there are: one line each. `service.wiring` builds the ones that the settings open."""

from __future__ import annotations

from channels.adapters import web_chat, wechat_mini, wechat_oa, wecom_app, wecom_kf
from channels.contract import ChannelSpec

CHANNELS: tuple[ChannelSpec, ...] = (
    web_chat.SPEC,
    wechat_oa.SPEC,
    wecom_kf.SPEC,
    wecom_app.SPEC,
    wechat_mini.SPEC,
)
