"""What a tenant needs before the first message: staff, articles, an index that answers. `System.open` calls it at each start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from foundation.messages import TenantId
from retrieval.sources.markdown_folder import MarkdownFolder

if TYPE_CHECKING:
    from service.wiring import System

log = structlog.get_logger(__name__)

DEMO_ARTICLES = Path(__file__).parent.parent / "demo" / "shop" / "articles"
DEMO_PASSWORD = "huiliu-demo"  # noqa: S105  # shown on the demo's own login page; production refuses to start with it


async def prepare(system: System, tenant: TenantId) -> None:
    """First start of a tenant: staff, articles. Later starts: finish what a crash left, make sure the index answers."""
    password = system.settings.staff_password.get_secret_value() or DEMO_PASSWORD
    await system.staff.ensure_first(tenant, password)
    if not await system.articles.catalogue(tenant):
        folder = system.settings.articles or DEMO_ARTICLES
        report = await system.ingestion.import_source(tenant, MarkdownFolder(folder), author="setup")
        log.info("articles imported", tenant=tenant, new=report.new, problems=len(report.problems))
    await system.ingestion.settle(tenant)
    health = await system.ingestion.check(tenant)
    if not health.ok:
        log.warning("the index is built anew", tenant=tenant, reason=health.reason)
        await system.ingestion.rebuild(tenant)
    await system.knowledge.warm(tenant)
