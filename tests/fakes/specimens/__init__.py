"""The specimens there are: one line each, in the list that fits its promise."""

from __future__ import annotations

from collections.abc import Callable

from channels.contract import Surroundings
from tests.fakes.specimens import (
    alexa,
    aligenie,
    app,
    dingtalk,
    douyin,
    dueros,
    email,
    feishu,
    kuaishou,
    line,
    messenger,
    phone_httapi,
    phone_jambonz,
    phone_twilio,
    slack,
    sms_aliyun,
    sms_generic,
    sms_tencent,
    sms_twilio,
    teams,
    telegram,
    web_chat,
    wechat_mini,
    wechat_oa,
    wecom_app,
    wecom_kf,
    weibo,
    whatsapp,
    xiaoai,
)
from tests.fakes.specimens.contract import CallSpecimen, InboundSpecimen, Specimen, WebhookSpecimen

WEBHOOKS: dict[str, Callable[[Surroundings], WebhookSpecimen]] = {
    "wechat_oa": wechat_oa.WechatOaSpecimen,
    "wechat_mini": wechat_mini.WechatMiniSpecimen,
    "wecom_app": wecom_app.WecomAppSpecimen,
    "weibo": weibo.WeiboSpecimen,
    "douyin": douyin.DouyinSpecimen,
    "dingtalk": dingtalk.DingtalkSpecimen,
    "feishu": feishu.FeishuSpecimen,
    "sms_aliyun": sms_aliyun.SmsAliyunSpecimen,
    "sms_tencent": sms_tencent.SmsTencentSpecimen,
    "sms_twilio": sms_twilio.SmsTwilioSpecimen,
    "sms_generic": sms_generic.SmsGenericSpecimen,
    "slack": slack.SlackSpecimen,
    "teams": teams.TeamsSpecimen,
    "whatsapp": whatsapp.WhatsappSpecimen,
    "messenger": messenger.MessengerSpecimen,
    "telegram": telegram.TelegramSpecimen,
    "line": line.LineSpecimen,
}
CALLS: dict[str, Callable[[Surroundings], CallSpecimen]] = {
    "phone_twilio": phone_twilio.PhoneTwilioSpecimen,
    "phone_jambonz": phone_jambonz.PhoneJambonzSpecimen,
    "phone_httapi": phone_httapi.PhoneHttapiSpecimen,
    "aligenie": aligenie.AligenieSpecimen,
    "dueros": dueros.DuerosSpecimen,
    "xiaoai": xiaoai.XiaoaiSpecimen,
    "alexa": alexa.AlexaSpecimen,
}
CLOSED: dict[str, Callable[[Surroundings], InboundSpecimen]] = {
    "kuaishou": kuaishou.KuaishouSpecimen,
}
"""Can be read and not answered: the platform has no interface for it."""
REPLY_CONTEXTS: dict[str, dict[str, str]] = {"douyin": douyin.REPLY_CONTEXT}
"""Of channels whose replies must name what they answer."""
OTHERS: dict[str, Callable[[Surroundings], Specimen]] = {
    "web_chat": web_chat.WebChatSpecimen,
    "app": app.AppSpecimen,
    "email": email.EmailSpecimen,
    "wecom_kf": wecom_kf.WecomKfSpecimen,
}
INBOUND: dict[str, Callable[[Surroundings], InboundSpecimen]] = {**WEBHOOKS, **CALLS, **CLOSED}
SPECIMENS: dict[str, Callable[[Surroundings], Specimen]] = {**OTHERS, **INBOUND}
