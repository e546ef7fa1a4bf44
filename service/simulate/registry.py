"""The platforms that can be played, and `run`, behind `huiliu simulate NAME TEXT…`."""

from __future__ import annotations

from collections.abc import Sequence

from channels.adapters.line.settings import LineSettings
from channels.adapters.messenger.settings import MessengerSettings
from channels.adapters.slack.settings import SlackSettings
from channels.adapters.teams.settings import TeamsSettings
from channels.adapters.telegram.settings import TelegramSettings
from channels.adapters.wechat_mini.settings import WechatMiniSettings
from channels.adapters.sms_aliyun.settings import SmsAliyunSettings
from channels.adapters.sms_generic.settings import SmsGenericSettings
from channels.adapters.sms_tencent.settings import SmsTencentSettings
from channels.adapters.sms_twilio.settings import SmsTwilioSettings
from channels.adapters.phone_httapi.settings import PhoneHttapiSettings
from channels.adapters.phone_jambonz.settings import PhoneJambonzSettings
from channels.adapters.phone_twilio.settings import PhoneTwilioSettings
from channels.adapters.email.settings import EmailSettings
from channels.adapters.wechat_oa.settings import WechatOaSettings
from channels.adapters.wecom_app.settings import WecomAppSettings
from channels.adapters.wecom_kf.settings import WecomKfSettings
from channels.adapters.whatsapp.settings import WhatsappSettings
from foundation import settings
from service.simulate import line, slack, stage, teams, wechat_mini, wechat_oa, wecom_app, wecom_kf
from service.simulate import phone_httapi, phone_jambonz, phone_twilio, stage, wechat_oa
from service.simulate.contract import NOT_POSSIBLE, Options, Say, Simulator
from service.simulate.messenger import MessengerPlatform
from service.simulate.telegram import TelegramPlatform
from service.simulate.whatsapp import WhatsappPlatform

SIMULATORS: tuple[Simulator, ...] = (
    Simulator("wechat_oa", WechatOaSettings, play=wechat_oa.play),
    Simulator("messenger", MessengerSettings, platform=MessengerPlatform),
    Simulator("telegram", TelegramSettings, platform=TelegramPlatform),
    Simulator("whatsapp", WhatsappSettings, platform=WhatsappPlatform),
    Simulator("line", LineSettings, platform=line.LinePlatform),
    Simulator("slack", SlackSettings, platform=slack.SlackPlatform),
    Simulator("teams", TeamsSettings, platform=teams.TeamsPlatform),
    Simulator("wechat_oa", WechatOaSettings, play=wechat_oa.play),
    Simulator("wecom_kf", WecomKfSettings, platform=wecom_kf.WecomKfPlatform),
    Simulator("wecom_app", WecomAppSettings, platform=wecom_app.WecomAppPlatform),
    Simulator("wechat_mini", WechatMiniSettings, platform=wechat_mini.WechatMiniPlatform),
from service.simulate.sms.aliyun import AliyunPlatform
from service.simulate.sms.generic import GatewayPlatform
from service.simulate.sms.tencent import TencentPlatform
from service.simulate.sms.twilio import TwilioPlatform

SIMULATORS: tuple[Simulator, ...] = (
    Simulator("sms_aliyun", SmsAliyunSettings, AliyunPlatform),
    Simulator("sms_generic", SmsGenericSettings, GatewayPlatform),
    Simulator("sms_tencent", SmsTencentSettings, TencentPlatform),
    Simulator("sms_twilio", SmsTwilioSettings, TwilioPlatform),
    Simulator("wechat_oa", WechatOaSettings, play=wechat_oa.play),
    Simulator("phone_twilio", PhoneTwilioSettings, phone_twilio.TwilioVoice),
    Simulator("phone_jambonz", PhoneJambonzSettings, phone_jambonz.Jambonz),
    Simulator("phone_httapi", PhoneHttapiSettings, phone_httapi.Httapi),
from channels.adapters.alexa.settings import AlexaSettings
from channels.adapters.aligenie.settings import AligenieSettings
from channels.adapters.dueros.settings import DuerosSettings
from channels.adapters.wechat_oa.settings import WechatOaSettings
from channels.adapters.xiaoai.settings import XiaoaiSettings
from foundation import settings
from service.simulate import stage, wechat_oa
from service.simulate.alexa import AlexaPlatform
from service.simulate.aligenie import AligeniePlatform
from service.simulate import email, stage, wechat_oa
from service.simulate.contract import NOT_POSSIBLE, Options, Say, Simulator
from service.simulate.dueros import DuerosPlatform
from service.simulate.xiaoai import XiaoaiPlatform

SIMULATORS: tuple[Simulator, ...] = (
    Simulator("wechat_oa", WechatOaSettings, play=wechat_oa.play),
    Simulator("alexa", AlexaSettings, platform=AlexaPlatform),
    Simulator("dueros", DuerosSettings, platform=DuerosPlatform),
    Simulator("xiaoai", XiaoaiSettings, platform=XiaoaiPlatform),
    Simulator("aligenie", AligenieSettings, platform=AligeniePlatform),
    Simulator("email", EmailSettings, play=email.play),
    Simulator("wechat_oa", WechatOaSettings, play=wechat_oa.play),
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
