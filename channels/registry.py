"""The channels there are: one line each. `service.wiring` builds the ones that the settings open."""

from __future__ import annotations

from channels.adapters import alexa, aligenie, dueros, web_chat, wechat_oa, xiaoai
from channels.contract import ChannelSpec

CHANNELS: tuple[ChannelSpec, ...] = (
    web_chat.SPEC,
    wechat_oa.SPEC,
    alexa.SPEC,
    dueros.SPEC,
    xiaoai.SPEC,
    aligenie.SPEC,
)
