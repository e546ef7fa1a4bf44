"""The console's words in the language of whoever looks; the texts stand in `texts.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import yaml

Language = Literal["zh", "en"]
_FILE = Path(__file__).parent / "texts.yaml"


class Words:
    """`words("desk.take")`, `words("desk.minutes", n=3)`; an unknown key is a bug and raises KeyError."""

    def __init__(self, language: Language, texts: Mapping[str, Mapping[str, str]]) -> None:
        self.language = language
        self._texts = texts

    def __call__(self, key: str, **values: object) -> str:
        return str(self._texts[key][self.language]).format(**values)

    def problem(self, code: str, sentence: str) -> str:
        """What went wrong and what to do; `sentence` is the error's own, in English, where ours needs its detail."""
        key = f"error.{code}"
        return self(key, detail=sentence) if key in self._texts else self("common.error", detail=sentence)

    def shut(self, channel: str, sentence: str) -> str:
        """Why a channel cannot be opened; `sentence` is the channel's own, in English."""
        key = f"shut.{channel}"
        return self(key) if key in self._texts else sentence

    def refusal(self, code: str) -> str:
        """Why a call was refused at the door."""
        return self._named("refusal", code)

    def reason(self, code: str | None) -> str:
        return self._named("reason", code)

    def failure(self, code: str | None) -> str:
        """Why a reply did not arrive; channels' own codes begin with their name, which the word for it does not need."""
        rest = code or ""
        while rest:
            if f"failure.{rest}" in self._texts:
                return self(f"failure.{rest}")
            rest = rest.partition("_")[2]
        return self("failure.other", code=code or "")

    def kind(self, code: str) -> str:
        """Of a message or an attachment."""
        return self._named("kind", code)

    def emotion(self, code: str) -> str:
        return self._named("emotion", code)

    def intent(self, code: str | None) -> str:
        return self._named("intent", code)

    def rung(self, code: str) -> str:
        return self._named("rung", code)

    def tool(self, code: str) -> str:
        return self._named("tool", code)

    def role(self, code: str) -> str:
        return self._named("staff", code)

    def spoken(self, code: str) -> str:
        """The name of a language by its code; `zh-Hant` is named as it is, unknown ones by their code."""
        return self._named("spoken", code)

    def level(self, code: str) -> str:
        return self._named("level", code)

    def named(self, family: str, code: str) -> str:
        """A word of a family that other systems may add to (attributes, tags): unknown ones are shown as they are."""
        return self._named(family, code)

    def order_state(self, code: str) -> str:
        return self._named("order", code)

    def behaviour(self, code: str) -> str:
        """A pattern with the places {type}, {what}, {query}, {target}, {seconds}."""
        pattern = self._texts.get(f"behaviour.{code}") or self._texts["behaviour.other"]
        return str(pattern[self.language])

    def _named(self, family: str, code: str | None) -> str:
        """Codes that the console has no word for (a tenant's own rule, another shop's state) are shown as they are."""
        key = f"{family}.{code}"
        return self(key) if key in self._texts else (code or "")


def load() -> dict[Language, Words]:
    texts = yaml.load(_FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return {"zh": Words("zh", texts), "en": Words("en", texts)}


def choose(cookie: str | None, accept_language: str) -> Language:
    """The cookie decides; without one the browser's first language."""
    if cookie in ("zh", "en"):
        return "zh" if cookie == "zh" else "en"
    return "zh" if accept_language.strip().lower().startswith("zh") else "en"
