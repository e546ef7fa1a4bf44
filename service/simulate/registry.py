"""The platforms that can be played, and `run`, behind `huiliu simulate NAME TEXT…`."""

from __future__ import annotations

from collections.abc import Sequence

from channels.adapters.dingtalk.settings import DingtalkSettings
from channels.adapters.douyin.settings import DouyinSettings
from channels.adapters.feishu.settings import FeishuSettings
from channels.adapters.wechat_oa.settings import WechatOaSettings
from channels.adapters.weibo.settings import WeiboSettings
from foundation import settings
from service.simulate import dingtalk, douyin, feishu, stage, wechat_oa, weibo
from service.simulate.contract import NOT_POSSIBLE, Options, Say, Simulator

SIMULATORS: tuple[Simulator, ...] = (
    Simulator("wechat_oa", WechatOaSettings, play=wechat_oa.play),
    Simulator("feishu", FeishuSettings, feishu.Feishu),
    Simulator("dingtalk", DingtalkSettings, dingtalk.Dingtalk),
    Simulator("weibo", WeiboSettings, weibo.Weibo),
    Simulator("douyin", DouyinSettings, douyin.Douyin),
)


async def run(name: str, texts: Sequence[str], options: Options, *, say: Say = print) -> int:
    """An exit code. Raises `ConfigurationError` where the server would not start with these settings either."""
    found = next((simulator for simulator in SIMULATORS if simulator.name == name), None)
    if found is None:
        known = ", ".join(simulator.name for simulator in SIMULATORS)
        say(f"There is no simulator for {name!r}. Known: {known}.")
        return NOT_POSSIBLE
    chosen = settings.channel(name, found.settings)
    if found.platform is not None:
        return await stage.play(name, found.platform, texts, options, settings=chosen, say=say)
    assert found.play is not None
    return await found.play(texts, options, settings=chosen, say=say)
