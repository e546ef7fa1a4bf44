"""The HTTP face of the process: one application made of everybody's routes, with one fence around them.

`service/commands.py` serves it; tests and the simulator talk to it. Every answer carries a trace id; a named error
becomes its status, code and sentence; anything unnamed is a bug, is logged with its traceback and answered with the
trace id only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import prometheus_client
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foundation import errors
from foundation.security import random_token
from service import openapi
from service.wiring import System

log = structlog.get_logger(__name__)

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
    (b"permissions-policy", b"geolocation=(), camera=(), microphone=()"),
)


class Fence:
    """Outermost layer: trace id, safe headers, and the one place where an unnamed error ends."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = random_token(9)
        started = False

        async def send_marked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {
                    **message,
                    "headers": [*message["headers"], *_HEADERS, (b"x-trace-id", trace.encode())],
                }
            await send(message)

        with structlog.contextvars.bound_contextvars(trace=trace):
            try:
                await self._app(scope, receive, send_marked)
            except Exception:
                log.exception("request failed", path=scope["path"])
                if started:
                    raise
                body = {
                    "error": {"code": "internal", "message": f"Something is wrong on our side ({trace})."}
                }
                await JSONResponse(body, 500)(scope, receive, send_marked)


def application(
    system: System, *, work: bool = True, fetch: bool = True, on_ready: Callable[[], None] | None = None
) -> FastAPI:
    """`work=False` serves requests only; `huiliu work` processes do the turns. `fetch=False` leaves mailboxes alone, for
    commands that only look in. `on_ready` is told when it has opened."""

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        await system.open()
        if fetch:
            system.start_fetching()
        if work:
            system.start_work()
        if on_ready is not None:
            on_ready()
        try:
            yield
        finally:
            await system.close()

    app = FastAPI(title="Huiliu", docs_url="/docs", redoc_url=None, lifespan=life)
    app.add_middleware(Fence)
    app.add_exception_handler(errors.ServiceError, _answer_named)
    app.add_exception_handler(RequestValidationError, _answer_malformed)
    app.add_exception_handler(HTTPException, _answer_http)
    _add_probes(app, system)
    for route in system.routes():
        app.router.routes.append(route)
    system.console().mount(app)
    app.openapi = partial(openapi.document, app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app


def _add_probes(app: FastAPI, system: System) -> None:
    @app.get("/health", tags=["probes"])
    async def health() -> dict[str, str]:
        """The process lives."""
        return {"status": "alive"}

    @app.get("/ready", tags=["probes"])
    async def ready() -> JSONResponse:
        """Everything a turn needs answers; `degraded` parts are named, and the ladder works without them."""
        report = await system.readiness()
        return JSONResponse(report, 200 if report["ready"] else 503)

    @app.get("/metrics", tags=["probes"])
    async def metrics() -> Response:
        """Prometheus text."""
        depth = await system.bus.depth()
        for state in ("waiting", "running", "backing_off", "dead", "replies_waiting"):
            system.metrics.depth.labels(state).set(getattr(depth, state))
        return Response(
            prometheus_client.generate_latest(system.metrics.registry),
            media_type=prometheus_client.CONTENT_TYPE_LATEST,
        )


async def _answer_named(_request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.ServiceError)
    headers = (
        {}
        if error.retry_after_seconds is None
        else {"Retry-After": str(max(1, round(error.retry_after_seconds)))}
    )
    return JSONResponse({"error": {"code": error.code, "message": error.public_text}}, error.status, headers)


async def _answer_malformed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = [
        {"field": ".".join(str(part) for part in problem["loc"]), "problem": str(problem["msg"])}
        for problem in error.errors()
    ]
    message = "The request does not have the expected form."
    return JSONResponse({"error": {"code": "malformed", "message": message, "problems": problems}}, 422)


async def _answer_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http")
    return JSONResponse(
        {"error": {"code": code, "message": str(error.detail)}}, error.status_code, error.headers
    )
