"""The specimens there are: one line each, in the list that fits its promise."""

from __future__ import annotations

from collections.abc import Callable

from channels.contract import Surroundings
from tests.fakes.specimens import dingtalk, feishu, web_chat, wechat_oa
from tests.fakes.specimens.contract import CallSpecimen, InboundSpecimen, Specimen, WebhookSpecimen

WEBHOOKS: dict[str, Callable[[Surroundings], WebhookSpecimen]] = {
    "wechat_oa": wechat_oa.WechatOaSpecimen,
    "feishu": feishu.FeishuSpecimen,
    "dingtalk": dingtalk.DingtalkSpecimen,
}
CALLS: dict[str, Callable[[Surroundings], CallSpecimen]] = {}
OTHERS: dict[str, Callable[[Surroundings], Specimen]] = {
    "web_chat": web_chat.WebChatSpecimen,
}
INBOUND: dict[str, Callable[[Surroundings], InboundSpecimen]] = {**WEBHOOKS, **CALLS}
SPECIMENS: dict[str, Callable[[Surroundings], Specimen]] = {**OTHERS, **INBOUND}
