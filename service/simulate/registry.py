"""The platforms that can be played, and `run`, behind `huiliu simulate NAME TEXT…`."""

from __future__ import annotations

from collections.abc import Sequence

from channels.adapters.alexa.settings import AlexaSettings
from channels.adapters.aligenie.settings import AligenieSettings
from channels.adapters.app.settings import AppSettings
from channels.adapters.dingtalk.settings import DingtalkSettings
from channels.adapters.douyin.settings import DouyinSettings
from channels.adapters.dueros.settings import DuerosSettings
from channels.adapters.email.settings import EmailSettings
from channels.adapters.feishu.settings import FeishuSettings
from channels.adapters.line.settings import LineSettings
from channels.adapters.messenger.settings import MessengerSettings
from channels.adapters.phone_httapi.settings import PhoneHttapiSettings
from channels.adapters.phone_jambonz.settings import PhoneJambonzSettings
from channels.adapters.phone_twilio.settings import PhoneTwilioSettings
from channels.adapters.slack.settings import SlackSettings
from channels.adapters.sms_aliyun.settings import SmsAliyunSettings
from channels.adapters.sms_generic.settings import SmsGenericSettings
from channels.adapters.sms_tencent.settings import SmsTencentSettings
from channels.adapters.sms_twilio.settings import SmsTwilioSettings
from channels.adapters.teams.settings import TeamsSettings
from channels.adapters.telegram.settings import TelegramSettings
from channels.adapters.wechat_mini.settings import WechatMiniSettings
from channels.adapters.wechat_oa.settings import WechatOaSettings
from channels.adapters.wecom_app.settings import WecomAppSettings
from channels.adapters.wecom_kf.settings import WecomKfSettings
from channels.adapters.weibo.settings import WeiboSettings
from channels.adapters.whatsapp.settings import WhatsappSettings
from channels.adapters.xiaoai.settings import XiaoaiSettings
from foundation import settings
from service.simulate import stage
from service.simulate.app import phone as app_phone
from service.simulate.chat.dingtalk import Dingtalk
from service.simulate.chat.douyin import Douyin
from service.simulate.chat.feishu import Feishu
from service.simulate.chat.line import LinePlatform
from service.simulate.chat.messenger import MessengerPlatform
from service.simulate.chat.slack import SlackPlatform
from service.simulate.chat.teams import TeamsPlatform
from service.simulate.chat.telegram import TelegramPlatform
from service.simulate.chat.weibo import Weibo
from service.simulate.chat.whatsapp import WhatsappPlatform
from service.simulate.contract import NOT_POSSIBLE, Options, Say, Simulator
from service.simulate.mail import email
from service.simulate.phone.phone_httapi import Httapi
from service.simulate.phone.phone_jambonz import Jambonz
from service.simulate.phone.phone_twilio import TwilioVoice
from service.simulate.sms.aliyun import AliyunPlatform
from service.simulate.sms.generic import GatewayPlatform
from service.simulate.sms.tencent import TencentPlatform
from service.simulate.sms.twilio import TwilioPlatform
from service.simulate.speakers.alexa import AlexaPlatform
from service.simulate.speakers.aligenie import AligeniePlatform
from service.simulate.speakers.dueros import DuerosPlatform
from service.simulate.speakers.xiaoai import XiaoaiPlatform
from service.simulate.wechat.wechat_mini import WechatMiniPlatform
from service.simulate.wechat.wechat_oa import WechatOaPlatform
from service.simulate.wechat.wecom_app import WecomAppPlatform
from service.simulate.wechat.wecom_kf import WecomKfPlatform

SIMULATORS: tuple[Simulator, ...] = (
    Simulator("wechat_oa", WechatOaSettings, platform=WechatOaPlatform),
    Simulator("wechat_mini", WechatMiniSettings, platform=WechatMiniPlatform),
    Simulator("wecom_kf", WecomKfSettings, platform=WecomKfPlatform),
    Simulator("wecom_app", WecomAppSettings, platform=WecomAppPlatform),
    Simulator("weibo", WeiboSettings, platform=Weibo),
    Simulator("douyin", DouyinSettings, platform=Douyin),
    Simulator("dingtalk", DingtalkSettings, platform=Dingtalk),
    Simulator("feishu", FeishuSettings, platform=Feishu),
    Simulator("sms_aliyun", SmsAliyunSettings, platform=AliyunPlatform),
    Simulator("sms_tencent", SmsTencentSettings, platform=TencentPlatform),
    Simulator("sms_twilio", SmsTwilioSettings, platform=TwilioPlatform),
    Simulator("sms_generic", SmsGenericSettings, platform=GatewayPlatform),
    Simulator("phone_twilio", PhoneTwilioSettings, platform=TwilioVoice),
    Simulator("phone_jambonz", PhoneJambonzSettings, platform=Jambonz),
    Simulator("phone_httapi", PhoneHttapiSettings, platform=Httapi),
    Simulator("email", EmailSettings, play=email.play),
    Simulator("aligenie", AligenieSettings, platform=AligeniePlatform),
    Simulator("dueros", DuerosSettings, platform=DuerosPlatform),
    Simulator("xiaoai", XiaoaiSettings, platform=XiaoaiPlatform),
    Simulator("alexa", AlexaSettings, platform=AlexaPlatform),
    Simulator("app", AppSettings, play=app_phone.play),
    Simulator("slack", SlackSettings, platform=SlackPlatform),
    Simulator("teams", TeamsSettings, platform=TeamsPlatform),
    Simulator("whatsapp", WhatsappSettings, platform=WhatsappPlatform),
    Simulator("messenger", MessengerSettings, platform=MessengerPlatform),
    Simulator("telegram", TelegramSettings, platform=TelegramPlatform),
    Simulator("line", LineSettings, platform=LinePlatform),
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
