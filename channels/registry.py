"""The channels there are: one line each. `service.wiring` builds the ones that the settings open."""

from __future__ import annotations

from channels.adapters import phone_httapi, phone_jambonz, phone_twilio, web_chat, wechat_oa
from channels.contract import ChannelSpec

CHANNELS: tuple[ChannelSpec, ...] = (
    web_chat.SPEC,
    wechat_oa.SPEC,
    phone_twilio.SPEC,
    phone_jambonz.SPEC,
    phone_httapi.SPEC,
)
