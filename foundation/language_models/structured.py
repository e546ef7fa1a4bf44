"""Structured output: a pydantic form as a JSON schema for the model, the model's text as a checked form.

Used by every machine of this folder, so that a scripted model is held to the same promise. What goes back to the model
for the one repair is data (which field, what is wrong), not a sentence: sentences for models live in prompt files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from foundation import errors
from foundation.language_models.contract import Line

M = TypeVar("M", bound=BaseModel)


class NotTheForm(Exception):
    """The text is not the form; `faults` is what the model is told."""

    def __init__(self, faults: str) -> None:
        super().__init__(faults)
        self.faults = faults


def response_format(form: type[BaseModel]) -> dict[str, Any]:
    return {
        "type": "json_schema",
        "json_schema": {"name": form.__name__, "schema": form.model_json_schema(), "strict": True},
    }


def parse(text: str, form: type[M]) -> M:
    """Raises `NotTheForm`. A fence or a word around the object is forgiven: some providers ignore the format."""
    begin, end = text.find("{"), text.rfind("}")
    try:
        return form.model_validate_json(text[begin : end + 1] if 0 <= begin < end else text)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise NotTheForm(json.dumps({"faults": faults}, ensure_ascii=False)) from error


def with_repair(lines: Sequence[Line], text: str, faults: str) -> list[Line]:
    return [*lines, Line("assistant", text or "{}"), Line("user", faults)]


def refused() -> errors.UpstreamRefused:
    return errors.UpstreamRefused(
        "The language model did not give an answer in the agreed form.", code="model_output_invalid"
    )
