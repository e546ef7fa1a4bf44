"""What every route of the front desk does alike: read a body under a cap, read a form, answer an error in one shape.

`endpoints` and adapters with routes of their own call it. An error that has a name becomes
`{"error": {"code", "message"}}` with its status; everything else is a bug and goes on to the fence of the HTTP layer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from channels import text as texts
from foundation import errors

F = TypeVar("F", bound=BaseModel)
Handler = Callable[[Request], Awaitable[Response]]

_STATUS = {"too_large": 413, "upgrade_required": 426}
"""Codes that HTTP has a better number for than their branch of the error tree."""


async def read_body(request: Request, limit: int) -> bytes:
    """Stops reading at `limit`. Raises `InvalidInput` with code `too_large`."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise too_large(limit)
    except ClientDisconnect as error:
        raise errors.InvalidInput("The request ended in the middle.", code="cut_off") from error
    return bytes(body)


async def read_form(request: Request, form: type[F], limit: int = 65_536) -> F:
    """A JSON body as a form; names each wrong field. An empty body is an empty form."""
    return parse_form(await read_body(request, limit) or b"{}", form)


def parse_form(body: bytes | str, form: type[F]) -> F:
    try:
        return form.model_validate_json(body)
    except ValidationError as error:
        mended = texts.mend_json(body)
        if mended is not None:
            return parse_form(mended, form)
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise errors.InvalidInput(
            f"The request does not have the expected form. {problems}", code="malformed"
        ) from error


def too_large(limit: int) -> errors.InvalidInput:
    return errors.InvalidInput(f"The request is larger than {limit} bytes.", code="too_large")


def refusal(error: errors.ServiceError) -> JSONResponse:
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_seconds)))
    body = {"error": {"code": error.code, "message": error.public_text}}
    return JSONResponse(body, _STATUS.get(error.code, error.status), headers)


def answering(handler: Handler) -> Handler:
    """The handler with named errors turned into answers."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except errors.ServiceError as error:
            return refusal(error)

    return answered
