"""A XiaoAi skill as a channel of the house: its signature is checked, then it is a voice skill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from channels.adapters.xiaoai import codec, gate
from channels.adapters.xiaoai.settings import NAME, XiaoaiSettings
from channels.contract import Channel, ChannelSpec, Surroundings, Webhook
from channels.families.speakers import linked
from channels.families.speakers.skills import Skill, Utterance
from channels.families.speakers.spoken import Speech


class XiaoaiChannel(Skill):
    """`settings` are complete: see `XiaoaiSettings.or_demo`."""

    name = NAME

    def __init__(self, settings: XiaoaiSettings, surroundings: Surroundings) -> None:
        super().__init__(
            surroundings, deadline_seconds=settings.deadline_seconds, speech_limit=settings.speech_limit
        )
        self._settings = settings
        self._hook = surroundings.hook(NAME)

    def verify(self, webhook: Webhook) -> None:
        gate.admit(webhook, self._settings.keys, self._hook, self._settings.timestamp_tolerance_seconds)

    def parse(self, webhook: Webhook) -> Utterance:
        return codec.parse(
            webhook.body,
            self._settings,
            webhook.received_at,
            lambda token, now: linked.identifiers(
                token, self._settings.account_linking, self._around.identity_keys, now
            ),
        )

    def render(self, heard: Utterance | None, speech: Speech) -> Mapping[str, Any]:
        return codec.render(speech)


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without a key the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, XiaoaiSettings)
    return XiaoaiChannel(settings.or_demo(surroundings.vault), surroundings)


SPEC = ChannelSpec(
    name=NAME,
    settings=XiaoaiSettings,
    build=build,
    title={"zh": "小米小爱技能", "en": "Xiaomi XiaoAi skill"},
)
