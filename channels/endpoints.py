"""HTTP in front of intake: one route for the webhooks of all platforms, and the routes that adapters bring themselves.

`service.wiring` puts them into the application. The first tenant's own routes (the chat page, the web chat's API) stand
at the root, everybody's under `/t/<tenant>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from starlette.datastructures import URLPath
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount, NoMatchFound, Route
from starlette.types import Receive, Scope, Send

from channels import answers
from channels.contract import BODY_LIMIT, MAIN, Channel, Webhook
from channels.intake import Intake
from channels.places import Channels, find_listener, place
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
    own = {tenant: OwnRoutes(channels, tenant, intake) for tenant in tenants}
    return [
        Route(address, handler, methods=["GET", "POST"]),
        Route(f"{address}/{{account}}", handler, methods=["GET", "POST"]),
        *(Mount(f"/t/{tenant}", routes=[routes]) for tenant, routes in own.items()),
        *(own[tenant] for tenant in tenants[:1]),
    ]


_CHOSEN = "huiliu.own_route"
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


class OwnRoutes(BaseRoute):
    """What the channels of a tenant bring themselves. Looks anew for each call, because accounts come and go while the
    product runs."""

    def __init__(self, channels: Channels, tenant: TenantId, intake: Intake) -> None:
        self._channels = channels
        self._tenant = tenant
        self._intake = intake
        self._known: dict[str, tuple[Channel, Sequence[BaseRoute]]] = {}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        partial: tuple[Match, Scope] = (Match.NONE, {})
        for route in self._current():
            match, child = route.matches(scope)
            if match is Match.FULL:
                return match, {**child, _CHOSEN: route}
            if match is Match.PARTIAL and partial[0] is Match.NONE:
                partial = (match, {**child, _CHOSEN: route})
        return partial

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope[_CHOSEN].handle(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        raise NoMatchFound(name, path_params)

    @property
    def routes(self) -> list[BaseRoute]:
        """Those that are there now, for the document of the API."""
        return list(self._current())

    def _current(self) -> Iterator[BaseRoute]:
        open_ones = {
            where: channel for (tenant, where), channel in self._channels.items() if tenant == self._tenant
        }
        for where in self._known.keys() - open_ones.keys():
            del self._known[where]
        for where, channel in open_ones.items():
            known = self._known.get(where)
            if known is None or known[0] is not channel:
                known = self._known[where] = (channel, channel.routes(self._intake))
            yield from known[1]
