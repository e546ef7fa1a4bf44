"""What may stand in the files of a suite, as pydantic models; `evals/schema/*.json` is generated from them.

Everything is strict: an unknown key is more often a misspelt one than an extra. Field descriptions are what an editor
shows while a suite is written.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

Kind = Literal["intent", "retrieval", "emotion", "language", "journey"]


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_as_list)]
"""One text, or a list of them."""
Text = Annotated[str, Field(min_length=1)]


class Head(Form):
    """`suite.yaml`: what the suite is, and what must be reached."""

    kind: Kind = Field(description="What is measured.")
    title: Text = Field(description="One line for the report.")
    description: str = Field("", description="For whoever reads the result.")
    thresholds: dict[str, float] = Field(
        {}, description="Metric → what must be reached: at least, or at most where less is better."
    )
    trials: int = Field(1, ge=1, le=20, description="How often each case is run.")
    out_of_scope: str = Field(
        "out_of_scope", description="intent: the name that stands for “none of the intents”."
    )
    articles: str = Field("articles", description="retrieval: folder of the articles, seen from the suite.")
    language: Text = Field("zh", description="retrieval: language of questions that do not say theirs.")
    channel: Text = Field("web_chat", description="journey: where the customer writes.")


class Case(Form):
    id: Text = Field(description="Unique in the suite; results of two runs are compared by it.")
    tags: list[str] = Field([], description="Results are also shown by tag.")
    language: str = Field("", description="Results are also shown by language.")


class IntentCase(Case):
    text: str
    intent: Text = Field(description="The expected intent, or the name for out of scope.")


class EmotionCase(Case):
    text: str
    label: Text
    valence: float | None = Field(None, ge=-1, le=1, description="From -1, very unpleasant, to 1.")


class LanguageCase(Case):
    text: str
    language: Text = Field(description="Code of the expected language: zh-Hans, zh-Hant, yue, en …")


class RetrievalCase(Case):
    question: str
    relevant: list[str] = Field(description="Ids of the articles that answer; empty: none does.")


class TrainingLine(Form):
    text: str
    intent: str | None = None
    label: str | None = None
    language: str = ""
    tags: list[str] = []

    @model_validator(mode="after")
    def _has_one_name(self) -> TrainingLine:
        if (self.intent is None) == (self.label is None):
            raise ValueError("give either intent or label")
        return self

    @property
    def name(self) -> str:
        return self.intent if self.intent is not None else self.label or ""


class LabelLine(Form):
    """What an intent is called for people; enough to begin with when there are no examples."""

    intent: Text
    title: Text


class Expect(Form):
    """Named checks; every one that is given must hold."""

    contains: Names | None = Field(None, description="The reply has all of these.")
    contains_any: Names | None = Field(None, description="The reply has one of these.")
    excludes: Names | None = Field(None, description="The reply has none of these.")
    matches: str | None = Field(None, description="The reply matches this regular expression.")
    language_is: Literal["zh", "en"] | None = Field(None, description="The reply is written in it.")
    says_no_numbers_beyond: Names | None = Field(
        None, description="Every number of the reply is one of these, the customer's own, or cited."
    )
    says_something: bool | None = Field(None, description="There is a reply (or, with false, none).")
    offers: Names | None = Field(None, description="The choices have all of these.")
    intent_is: Names | None = Field(None, description="The intent is one of these.")
    emotion_is: Names | None = Field(None, description="The emotion is one of these.")
    understood_language_is: Names | None = Field(None, description="The customer's language is one of these.")
    tool_called: Names | None = Field(None, description="All of these tools were used with success.")
    no_tool_called: Names | None = Field(None, description="None of these was tried; []: no tool at all.")
    handed_over: str | None = Field(None, description="Waits for a person, for this reason or “any”.")
    not_handed_over: bool | None = Field(None, description="The bot kept the conversation.")
    cites: Names | None = Field(None, description="One of these articles is cited.")
    cites_nothing: bool | None = Field(None, description="No article is cited.")
    end_state: dict[str, list[dict[str, Any]]] | None = Field(
        None, description="Table → rows that are new or different in the shop's database, and no others."
    )

    @field_validator("matches")
    @classmethod
    def _is_a_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            _pattern(value)
        return value

    @property
    def given(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


class Decision(Form):
    approve: bool
    note: str = ""


class Turn(Form):
    """One step of the script: the customer says something, signs in, or a member of staff decides."""

    say: str | None = Field(None, description="What the customer writes; {name} is filled from known.")
    sign_in: str | None = Field(None, description="The customer proves this account.")
    staff: Decision | None = Field(None, description="A member of staff decides about what waits.")
    expect: Expect = Field(Expect(), description="Checked after this step, side answers included.")

    @model_validator(mode="after")
    def _is_one_step(self) -> Turn:
        if sum(step is not None for step in (self.say, self.sign_in, self.staff)) != 1:
            raise ValueError("a turn is one of: say, sign_in, staff")
        return self


class Answer(Form):
    """What the customer answers when the bot asks for it between two steps."""

    asked: Text = Field(description="Regular expression for the bot's question.")
    say: Text

    @field_validator("asked")
    @classmethod
    def _is_a_pattern(cls, value: str) -> str:
        _pattern(value)
        return value


class World(Form):
    account: str = Field("", description="Signed in as this account from the start; empty: a visitor.")


class JourneyCase(Case):
    persona: Text = Field(description="Who the customer is and what they want, in a sentence.")
    known: dict[str, str] = Field({}, description="What the customer knows; name → value.")
    unknown: list[str] = Field([], description="What the customer does not know and can never say.")
    world: World = World()
    turns: list[Turn] = Field(min_length=1)
    answers: list[Answer] = Field([], description="Each is given at most once.")
    expect: Expect = Field(Expect(), description="Checked at the end, over the whole conversation.")

    @model_validator(mode="after")
    def _says_only_what_is_known(self) -> JourneyCase:
        texts = [turn.say or "" for turn in self.turns] + [answer.say for answer in self.answers]
        for name in (name for text in texts for name in re.findall(r"\{(\w+)\}", text)):
            if name not in self.known:
                raise ValueError(f"{{{name}}} is not one of the known facts")
        both = sorted(set(self.known) & set(self.unknown))
        if both:
            raise ValueError(f"{', '.join(both)} cannot be known and unknown")
        return self


CASES: dict[Kind, type[Case]] = {
    "intent": IntentCase,
    "retrieval": RetrievalCase,
    "emotion": EmotionCase,
    "language": LanguageCase,
    "journey": JourneyCase,
}


def _pattern(value: str) -> None:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
