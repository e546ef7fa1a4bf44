"""HTTP in front of intake: one route for the webhooks of all platforms, and the routes that adapters bring themselves.

`service.wiring` puts them into the application. The first tenant's own routes (the chat page, the web chat's API) stand
at the root, everybody's under `/t/<tenant>`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from channels import answers
from channels.contract import BODY_LIMIT, MAIN, Channel, Webhook
from channels.delivery import Channels, find_listener, place
from channels.intake import Intake
from foundation import errors
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.telemetry import Metrics

UNREADABLE = "unreadable_payload"
"""Counted beside the refusals: authentic, but in no form that we know."""


def routes(intake: Intake, channels: Channels, *, clock: Clock, metrics: Metrics) -> Sequence[BaseRoute]:
    hooks = Hooks(intake, channels, clock=clock, metrics=metrics)
    handler = answers.answering(hooks.receive)
    address = "/v1/hooks/{tenant}/{channel}"
    tenants = list(dict.fromkeys(tenant for tenant, _ in channels))
    mounts = [Mount(f"/t/{tenant}", routes=_own_routes(channels, tenant, intake)) for tenant in tenants]
    return [
        Route(address, handler, methods=["GET", "POST"]),
        Route(f"{address}/{{account}}", handler, methods=["GET", "POST"]),
        *mounts,
        *(_own_routes(channels, tenants[0], intake) if tenants else ()),
    ]


_METHODS: Mapping[str, Literal["GET", "POST", "HEAD"]] = {"GET": "GET", "POST": "POST", "HEAD": "HEAD"}


class Hooks:
    def __init__(self, intake: Intake, channels: Channels, *, clock: Clock, metrics: Metrics) -> None:
        self._intake = intake
        self._channels = channels
        self._clock = clock
        self._metrics = metrics

    async def receive(self, request: Request) -> Response:
        tenant, channel, account = self._find(request.path_params)
        try:
            body = await answers.read_body(request, BODY_LIMIT)
        except errors.InvalidInput as error:
            self._metrics.refused.labels(channel.name, error.code).inc()
            raise
        webhook = Webhook(
            method=_METHODS.get(request.method, "GET"),
            query=dict(request.query_params),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
            received_at=self._clock(),
            account=request.path_params.get("account", ""),
            path=request.url.path,
            query_string=request.url.query,
        )
        try:
            answer = await self._intake.receive(tenant, channel, webhook)
        except errors.NotAuthentic as error:
            self._intake.refusals.note(tenant, channel.name, account, error.code)
            raise
        except errors.UnreadablePayload:
            self._intake.refusals.note(tenant, channel.name, account, UNREADABLE)
            await self._intake.keep_unreadable(tenant, channel, webhook)
            if not channel.capabilities.acknowledge_unreadable:
                raise
            answer = channel.acknowledge(webhook)
        return Response(answer.body, answer.status, dict(answer.headers), media_type=answer.media_type)

    def _find(self, path: dict[str, str]) -> tuple[TenantId, Channel, str]:
        """Also the account: the word behind the channel's name where it is one, and not a secret of the main account's."""
        tenant, word = TenantId(path["tenant"]), path.get("account", "")
        channel = find_listener(self._channels, tenant, path["channel"], word)
        account = word if (tenant, place(path["channel"], word)) in self._channels else MAIN
        if channel is None:
            raise errors.NotFound(
                "Nothing listens at this address. Check the tenant and the channel in it.",
                code="unknown_hook",
            )
        return tenant, channel, account or MAIN


def _own_routes(channels: Channels, tenant: TenantId, intake: Intake) -> list[BaseRoute]:
    return [
        route
        for (owner, _), channel in channels.items()
        if owner == tenant
        for route in channel.routes(intake)
    ]
