"""A way into the installation for commands: through the running server when that owns the database, else by opening it.

The embedded database belongs to one process. When a server holds it, the work goes there over HTTP with the operator's
pass; what comes back is the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from foundation import errors
from foundation.clock import utc_now
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.settings import Settings
from service import http, keys, wiring
from service.operator import make_pass

TIMEOUT_SECONDS = 600.0


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running server, or of the same application opened in this process."""
    vault = Vault(keys.master_key(settings))
    header = {"Authorization": f"Bearer {make_pass(vault, TenantId(settings.tenants[0]), utc_now)}"}
    if await _is_running(settings):
        async with httpx.AsyncClient(
            base_url=settings.address, headers=header, timeout=TIMEOUT_SECONDS
        ) as client:
            yield client
        return
    system = wiring.build(settings)
    app = http.application(system, fetch=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://here",
            headers=header,
            timeout=TIMEOUT_SECONDS,
        ) as client,
    ):
        yield client


async def _is_running(settings: Settings) -> bool:
    try:
        async with httpx.AsyncClient(timeout=2) as client:
            return (await client.get(f"http://{settings.host}:{settings.port}/health")).is_success
    except httpx.HTTPError:
        return False


async def call(client: httpx.AsyncClient, method: str, address: str, body: Any = None, **more: Any) -> Any:
    answer = await client.request(method, address, json=body, **more)
    content = answer.json()
    if answer.is_success:
        return content
    problem = content.get("error", {})
    raise errors.InvalidInput(problem.get("message", answer.reason_phrase), code=problem.get("code"))
