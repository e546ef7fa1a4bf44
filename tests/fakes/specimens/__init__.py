"""The specimens there are: one line each, in the list that fits its promise."""

from __future__ import annotations

from collections.abc import Callable

from channels.contract import Surroundings
from tests.fakes.specimens import (
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
from tests.fakes.specimens import phone_httapi, phone_jambonz, phone_twilio, web_chat, wechat_oa
from tests.fakes.specimens import alexa, aligenie, dueros, web_chat, wechat_oa, xiaoai
from tests.fakes.specimens import email, web_chat, wechat_oa
from tests.fakes.specimens.contract import CallSpecimen, InboundSpecimen, Specimen, WebhookSpecimen

WEBHOOKS: dict[str, Callable[[Surroundings], WebhookSpecimen]] = {
    "line": line.LineSpecimen,
    "slack": slack.SlackSpecimen,
    "teams": teams.TeamsSpecimen,
from tests.fakes.specimens import sms_aliyun, sms_generic, sms_tencent, sms_twilio, web_chat, wechat_oa
from tests.fakes.specimens.contract import CallSpecimen, InboundSpecimen, Specimen, WebhookSpecimen

WEBHOOKS: dict[str, Callable[[Surroundings], WebhookSpecimen]] = {
    "sms_aliyun": sms_aliyun.SmsAliyunSpecimen,
    "sms_generic": sms_generic.SmsGenericSpecimen,
    "sms_tencent": sms_tencent.SmsTencentSpecimen,
    "sms_twilio": sms_twilio.SmsTwilioSpecimen,
    "wechat_oa": wechat_oa.WechatOaSpecimen,
    "messenger": messenger.MessengerSpecimen,
    "telegram": telegram.TelegramSpecimen,
    "whatsapp": whatsapp.WhatsappSpecimen,
    "wechat_mini": wechat_mini.WechatMiniSpecimen,
    "wecom_app": wecom_app.WecomAppSpecimen,
}
CALLS: dict[str, Callable[[Surroundings], CallSpecimen]] = {
    "phone_httapi": phone_httapi.PhoneHttapiSpecimen,
    "phone_jambonz": phone_jambonz.PhoneJambonzSpecimen,
    "phone_twilio": phone_twilio.PhoneTwilioSpecimen,
}
CALLS: dict[str, Callable[[Surroundings], CallSpecimen]] = {
    "alexa": alexa.AlexaSpecimen,
    "dueros": dueros.DuerosSpecimen,
    "xiaoai": xiaoai.XiaoaiSpecimen,
    "aligenie": aligenie.AligenieSpecimen,
}
OTHERS: dict[str, Callable[[Surroundings], Specimen]] = {
    "email": email.EmailSpecimen,
    "web_chat": web_chat.WebChatSpecimen,
    "wecom_kf": wecom_kf.WecomKfSpecimen,
}
INBOUND: dict[str, Callable[[Surroundings], InboundSpecimen]] = {**WEBHOOKS, **CALLS}
SPECIMENS: dict[str, Callable[[Surroundings], Specimen]] = {**OTHERS, **INBOUND}
