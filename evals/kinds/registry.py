"""The explicit list of kinds; a new one: a module beside this file, a line here, a case form in `forms`."""

from __future__ import annotations

from collections.abc import Mapping

from evals import forms
from evals.kinds.contract import Kind
from evals.kinds.emotion import EmotionKind
from evals.kinds.intent import IntentKind
from evals.kinds.journey import JourneyKind
from evals.kinds.language import LanguageKind
from evals.kinds.retrieval import RetrievalKind

KINDS: Mapping[forms.Kind, Kind] = {
    "intent": IntentKind(),
    "retrieval": RetrievalKind(),
    "emotion": EmotionKind(),
    "language": LanguageKind(),
    "journey": JourneyKind(),
}
