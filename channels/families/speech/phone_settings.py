"""What every phone line can be told, whichever switchboard carries it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from channels.families.speech import numerals


class PhoneSettings(BaseModel):
    """What every phone line can be told."""

    model_config = ConfigDict(frozen=True)

    language: Literal["zh", "en"] = Field("zh", description="The language in which a call begins.")
    tag_zh: str = Field("zh-CN", description="The platform's code for recognising and speaking Chinese.")
    tag_en: str = Field("en-US", description="The platform's code for recognising and speaking English.")
    voice_zh: str = Field("", description="Name of the Chinese voice; empty: the platform's own choice.")
    voice_en: str = Field("", description="Name of the English voice; empty: the platform's own choice.")
    opening: str = Field(
        "", description="Said before the greeting, for example that the call is recorded; may be empty."
    )
    hints: str = Field(
        "", description="Words that callers often say, separated by commas, to help the recognition."
    )
    confidence: float = Field(
        0.4, ge=0, le=1, description="Speech that was recognised with less certainty is asked for again."
    )
    listen_seconds: int = Field(6, ge=2, le=30, description="Silence until the caller is asked again.")
    answer_wait_seconds: float = Field(
        4.0, ge=1, le=10, description="Silence until the caller hears that we are looking."
    )
    poll_limit: int = Field(
        15, ge=2, le=100, description="Fillers in a row until the caller may say something else."
    )
    transfer_to: str = Field(
        "",
        description="Where a call goes that needs a person: a number, sip:… or queue:name; empty: nowhere.",
    )
    transfer_seconds: int = Field(
        25, ge=5, le=120, description="So long it rings there until the caller is back."
    )
    yao: bool = Field(True, description="In Chinese, a 1 in numbers that are read digit by digit is 幺.")
    links_by: str = Field(
        "",
        pattern=r"^([a-z0-9_]+(:[a-z0-9_-]+)?)?$",
        description="Channel that writes links to the caller's number, e.g. sms_twilio or sms_aliyun:shop; empty: none.",
    )
    country: str = Field(
        "86",
        pattern=r"^[1-9][0-9]{0,2}$",
        description="Country code of callers' numbers that come without one.",
    )
    say_sources: bool = Field(True, description="The articles an answer rests on are named after it.")

    @property
    def manner(self) -> numerals.Manner:
        return numerals.Manner(yao=self.yao)

    def tag(self, language: str) -> str:
        return self.tag_zh if numerals.tongue(language) == "zh" else self.tag_en

    def voice(self, language: str) -> str:
        return self.voice_zh if numerals.tongue(language) == "zh" else self.voice_en
