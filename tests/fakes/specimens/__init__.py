"""The specimens there are: one line each, in the list that fits its promise."""

from __future__ import annotations

from collections.abc import Callable

from channels.contract import Surroundings
from tests.fakes.specimens import dingtalk, douyin, feishu, kuaishou, web_chat, wechat_oa, weibo
from tests.fakes.specimens.contract import CallSpecimen, InboundSpecimen, Specimen, WebhookSpecimen

WEBHOOKS: dict[str, Callable[[Surroundings], WebhookSpecimen]] = {
    "wechat_oa": wechat_oa.WechatOaSpecimen,
    "feishu": feishu.FeishuSpecimen,
    "dingtalk": dingtalk.DingtalkSpecimen,
    "weibo": weibo.WeiboSpecimen,
    "douyin": douyin.DouyinSpecimen,
}
CALLS: dict[str, Callable[[Surroundings], CallSpecimen]] = {}
CLOSED: dict[str, Callable[[Surroundings], InboundSpecimen]] = {
    "kuaishou": kuaishou.KuaishouSpecimen,
}
"""Can be read and not answered: the platform has no interface for it."""
REPLY_CONTEXTS: dict[str, dict[str, str]] = {"douyin": douyin.REPLY_CONTEXT}
"""Of channels whose replies must name what they answer."""
OTHERS: dict[str, Callable[[Surroundings], Specimen]] = {
    "web_chat": web_chat.WebChatSpecimen,
}
INBOUND: dict[str, Callable[[Surroundings], InboundSpecimen]] = {**WEBHOOKS, **CALLS, **CLOSED}
SPECIMENS: dict[str, Callable[[Surroundings], Specimen]] = {**OTHERS, **INBOUND}
