"""Reads a JSON request body into a form; every way it can be wrong becomes a sentence, never a 500."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from foundation import errors

F = TypeVar("F", bound=BaseModel)

BODY_LIMIT = 5_000_000
"""Bytes; the largest thing that comes this way is a folder of articles."""


async def read_form(request: Request, form: type[F]) -> F:
    """Raises `InvalidInput` naming each field that is wrong."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise errors.InvalidInput(f"The request is larger than {BODY_LIMIT} bytes.", code="too_large")
    try:
        return form.model_validate_json(bytes(body))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise errors.InvalidInput(
            f"The request does not have the expected form. {problems}", code="malformed"
        ) from error
