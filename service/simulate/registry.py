"""The platforms that can be played, and `run`, behind `huiliu simulate NAME TEXT…`."""

from __future__ import annotations

from collections.abc import Sequence

from channels.adapters.alexa.settings import AlexaSettings
from channels.adapters.aligenie.settings import AligenieSettings
from channels.adapters.dueros.settings import DuerosSettings
from channels.adapters.wechat_oa.settings import WechatOaSettings
from channels.adapters.xiaoai.settings import XiaoaiSettings
from foundation import settings
from service.simulate import stage, wechat_oa
from service.simulate.alexa import AlexaPlatform
from service.simulate.aligenie import AligeniePlatform
from service.simulate.contract import NOT_POSSIBLE, Options, Say, Simulator
from service.simulate.dueros import DuerosPlatform
from service.simulate.xiaoai import XiaoaiPlatform

SIMULATORS: tuple[Simulator, ...] = (
    Simulator("wechat_oa", WechatOaSettings, play=wechat_oa.play),
    Simulator("alexa", AlexaSettings, platform=AlexaPlatform),
    Simulator("dueros", DuerosSettings, platform=DuerosPlatform),
    Simulator("xiaoai", XiaoaiSettings, platform=XiaoaiPlatform),
    Simulator("aligenie", AligenieSettings, platform=AligeniePlatform),
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
