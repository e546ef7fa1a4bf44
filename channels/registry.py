"""The channels there are: one line each. `service.wiring` builds the ones that the settings open."""

from __future__ import annotations

from channels.adapters import (
    line,
    messenger,
    slack,
    teams,
    telegram,
    web_chat,
    wechat_mini,
    wechat_oa,
    wecom_app,
    wecom_kf,
    whatsapp,
)
from channels.adapters import phone_httapi, phone_jambonz, phone_twilio, web_chat, wechat_oa
from channels.adapters import alexa, aligenie, dueros, web_chat, wechat_oa, xiaoai
from channels.contract import ChannelSpec

CHANNELS: tuple[ChannelSpec, ...] = (
    line.SPEC,
    slack.SPEC,
    teams.SPEC,
from channels.adapters import sms_aliyun, sms_generic, sms_tencent, sms_twilio, web_chat, wechat_oa
from channels.contract import ChannelSpec

CHANNELS: tuple[ChannelSpec, ...] = (
    sms_aliyun.SPEC,
    sms_generic.SPEC,
    sms_tencent.SPEC,
    sms_twilio.SPEC,
from channels.adapters import email, web_chat, wechat_oa
from channels.contract import ChannelSpec

CHANNELS: tuple[ChannelSpec, ...] = (
    email.SPEC,
    web_chat.SPEC,
    wechat_oa.SPEC,
    whatsapp.SPEC,
    telegram.SPEC,
    messenger.SPEC,
    wecom_kf.SPEC,
    wecom_app.SPEC,
    wechat_mini.SPEC,
    phone_twilio.SPEC,
    phone_jambonz.SPEC,
    phone_httapi.SPEC,
    alexa.SPEC,
    dueros.SPEC,
    xiaoai.SPEC,
    aligenie.SPEC,
)
