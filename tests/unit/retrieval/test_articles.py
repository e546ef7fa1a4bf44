"""The one door to the content: versions, conflicts, differences, publication and its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from foundation.errors import Conflict, InvalidInput, NotFound
from foundation.messages import TenantId
from retrieval import articles
from tests.unit.retrieval.conftest import INVOICE, POINTS, RETURNS, Shelf

EDITED = replace(RETURNS, body=RETURNS.body.replace("七天内可以", "十五天内可以"), title="十五天无理由退货")


async def test_draft_is_a_new_version_and_changes_nothing_that_is_live(
    either_shelf: Shelf, tenant: TenantId
) -> None:
    await either_shelf.publish(RETURNS)
    assert await either_shelf.articles.save_draft(tenant, EDITED, author="ann", based_on=1, note="law") == 2
    assert await either_shelf.work() == 0
    newest, first = await either_shelf.articles.history(tenant, "returns", "zh")
    assert (newest.version, newest.state, newest.author, newest.note) == (2, "draft", "ann", "law")
    assert (first.version, first.state, first.document) == (1, "live", RETURNS)


async def test_stale_edit_is_a_conflict_that_names_both_versions(
    either_shelf: Shelf, tenant: TenantId
) -> None:
    await either_shelf.publish(RETURNS)
    await either_shelf.articles.save_draft(tenant, EDITED, author="ann", based_on=1)
    with pytest.raises(Conflict, match=r"version 2.*version 1"):
        await either_shelf.articles.save_draft(tenant, RETURNS, author="bob", based_on=1)
    with pytest.raises(Conflict):
        await either_shelf.articles.save_draft(tenant, RETURNS, author="bob", based_on=0)


async def test_draft_that_breaks_a_rule_is_refused(shelf: Shelf, tenant: TenantId) -> None:
    with pytest.raises(InvalidInput, match="title"):
        await shelf.articles.save_draft(tenant, replace(RETURNS, title=" "), author="ann", based_on=0)
    assert await shelf.articles.catalogue(tenant) == []


async def test_published_version_is_live_and_the_one_before_is_archived(
    either_shelf: Shelf, tenant: TenantId
) -> None:
    await either_shelf.publish(RETURNS)
    await either_shelf.publish(EDITED)
    states = [version.state for version in await either_shelf.articles.history(tenant, "returns", "zh")]
    assert states == ["live", "archived"]
    (line,) = await either_shelf.articles.catalogue(tenant)
    assert (line.title, line.live_version, line.wanted_version) == ("十五天无理由退货", 2, None)


async def test_publishing_twice_is_publishing_once(shelf: Shelf, tenant: TenantId) -> None:
    await shelf.publish(RETURNS)
    await shelf.articles.publish(tenant, "returns", "zh", 1)
    assert await shelf.work() == 0


async def test_roll_back_publishes_the_old_text_as_a_new_version(
    either_shelf: Shelf, tenant: TenantId
) -> None:
    await either_shelf.publish(RETURNS)
    await either_shelf.publish(EDITED)
    assert await either_shelf.articles.roll_back(tenant, "returns", "zh", to=1, author="ann") == 3
    await either_shelf.work()
    live = await either_shelf.articles.get(tenant, "returns", "zh")
    assert (live.version, live.state, live.document) == (3, "live", RETURNS)
    found = await either_shelf.base.ask(tenant, "多少天内可以退货", language="zh")
    assert found.best is not None
    assert found.best.version == 3


async def test_withdrawn_article_is_found_no_more_and_can_be_published_again(
    either_shelf: Shelf, tenant: TenantId
) -> None:
    await either_shelf.publish(RETURNS)
    await either_shelf.publish(INVOICE)
    await either_shelf.articles.withdraw(tenant, "returns", "zh")
    found = await either_shelf.base.ask(tenant, "多少天内可以退货", language="zh")
    assert "returns" not in [hit.article for hit in found.passages], "gone at once, before the bus has worked"
    await either_shelf.work()
    assert (await either_shelf.ingestion.check(tenant)).ok
    await either_shelf.articles.publish(tenant, "returns", "zh", 1)
    await either_shelf.work()
    found = await either_shelf.base.ask(tenant, "多少天内可以退货", language="zh")
    assert found.best is not None
    assert found.best.article == "returns"


async def test_publication_on_its_way_is_called_off_by_a_withdrawal(shelf: Shelf, tenant: TenantId) -> None:
    await shelf.publish(INVOICE)
    await shelf.articles.save_draft(tenant, RETURNS, author="ann", based_on=0)
    await shelf.articles.publish(tenant, "returns", "zh", 1)
    await shelf.articles.withdraw(tenant, "returns", "zh")
    await shelf.work()
    found = await shelf.base.ask(tenant, "多少天内可以退货", language="zh")
    assert [hit.article for hit in found.passages] == ["invoice"]


async def test_unknown_article_or_version_is_not_found(shelf: Shelf, tenant: TenantId) -> None:
    await shelf.publish(RETURNS)
    for call in (
        shelf.articles.get(tenant, "nothing", "zh"),
        shelf.articles.history(tenant, "returns", "en"),
        shelf.articles.publish(tenant, "returns", "zh", 9),
        shelf.articles.roll_back(tenant, "returns", "zh", to=9, author="ann"),
        shelf.articles.withdraw(tenant, "nothing", "zh"),
        shelf.articles.get(TenantId("other"), "returns", "zh"),
    ):
        with pytest.raises(NotFound):
            await call


async def test_difference_shows_changed_lines_side_by_side(shelf: Shelf, tenant: TenantId) -> None:
    await shelf.publish(RETURNS)
    await shelf.publish(EDITED)
    found = await shelf.articles.compare(tenant, "returns", "zh", old=1, new=2)
    changed = [(row.old, row.new) for row in found.rows if row.changed]
    assert changed == [
        ("title: 七天无理由退货", "title: 十五天无理由退货"),
        ("签收后七天内可以退货。", "签收后十五天内可以退货。"),
    ]
    assert "-签收后七天内可以退货。\n+签收后十五天内可以退货。" in found.unified
    added = articles.difference(RETURNS, replace(RETURNS, body=RETURNS.body + "\n\n新的一段。")).rows[-1]
    assert (added.old, added.new, added.changed) == ("", "新的一段。", True)


async def test_tenants_have_their_own_articles(shelf: Shelf) -> None:
    await shelf.publish(RETURNS, TenantId("demo"))
    await shelf.publish(POINTS, TenantId("bank"))
    assert [line.id for line in await shelf.articles.catalogue(TenantId("bank"))] == ["points"]
    found = await shelf.base.ask(TenantId("bank"), "多少天内可以退货", language="zh")
    assert "returns" not in [hit.article for hit in found.passages]
