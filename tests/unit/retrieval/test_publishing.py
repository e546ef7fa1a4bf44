"""From publish to found: an edit costs its own passages, crashes repeat, and no search sees half of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from foundation.bus.contract import Outcome
from foundation.errors import UpstreamUnavailable
from foundation.events import ArticlePublished
from foundation.messages import TenantId
from retrieval import records
from retrieval.index_chroma import ChromaIndex
from retrieval.passages import Found, Query
from retrieval.sources.markdown_folder import MarkdownFolder
from tests.conftest import StandingClock
from tests.unit.retrieval.conftest import INVOICE, POINTS, RETURNS, Shelf, assemble

QUESTION = "多少天内可以退货"


async def stock(shelf: Shelf, tenant: TenantId, tmp_path: Path, count: int = 30) -> MarkdownFolder:
    """Enough other articles that one edit is not a fifth of the knowledge base."""
    folder = tmp_path / "stock"
    folder.mkdir(exist_ok=True)
    for number in range(count):
        head = f"---\nid: s{number}\ntitle: 商品{number}号\nlanguage: zh\nquestions: [商品{number}号怎么用]\n---\n"
        (folder / f"s{number}.md").write_text(
            f"{head}商品{number}号的说明在第{number}页。\n", encoding="utf-8"
        )
    source = MarkdownFolder(folder)
    await shelf.ingestion.import_source(tenant, source, "import")
    return source


async def collection_of(shelf: Shelf, tenant: TenantId) -> str:
    standing = await shelf.database.read(lambda c: records.standing(c, tenant, "bigrams"))
    assert standing.release is not None
    return standing.release.collection


async def test_edit_embeds_its_own_passages_only(shelf: Shelf, tenant: TenantId, tmp_path: Path) -> None:
    await stock(shelf, tenant, tmp_path)
    await shelf.publish(RETURNS)
    shelf.embedder.embedded.clear()
    await shelf.publish(replace(RETURNS, body=RETURNS.body.replace("金卡会员免运费", "所有会员免运费")))
    assert shelf.embedder.embedded == ["七天无理由退货 › 运费\n退货运费由顾客承担，所有会员免运费。"]
    assert (await shelf.ingestion.check(tenant)).ok


async def test_old_passages_are_gone_from_index_and_tables_after_the_edit(
    either_shelf: Shelf, tenant: TenantId, tmp_path: Path
) -> None:
    await stock(either_shelf, tenant, tmp_path)
    await either_shelf.publish(RETURNS)
    before = await either_shelf.ingestion.check(tenant)
    await either_shelf.publish(replace(RETURNS, body="签收后十五天内可以退货。"))
    after = await either_shelf.ingestion.check(tenant)
    assert (before.ok, after.ok) == (True, True)
    assert after.indexed == before.indexed - 2


async def test_search_sees_exactly_one_version_while_versions_flip(
    shelf: Shelf, tenant: TenantId, tmp_path: Path
) -> None:
    await stock(shelf, tenant, tmp_path)
    await shelf.publish(RETURNS)
    texts = {1: RETURNS.body}
    vector = (await shelf.embedder.embed_queries([QUESTION]))[0]
    done = asyncio.Event()
    seen: set[int] = set()

    async def hammer() -> None:
        while not done.is_set():
            found = await shelf.base.search(Query(tenant, QUESTION, vector), limit=50)
            mine = [hit for hit in found.passages if hit.article == "returns"]
            assert len(mine) == 1, "never neither, never both"
            assert mine[0].answer in texts[mine[0].version]
            seen.add(mine[0].version)

    searching = [asyncio.create_task(hammer()) for _ in range(4)]
    for number in range(2, 14):
        body = f"签收后第{number}版规定的天数内可以退货。"
        texts[number] = body
        await shelf.publish(replace(RETURNS, body=body))
        await asyncio.sleep(0)
    done.set()
    await asyncio.gather(*searching)
    assert len(seen) > 3


async def test_next_search_uses_the_new_version(
    either_shelf: Shelf, tenant: TenantId, tmp_path: Path
) -> None:
    await stock(either_shelf, tenant, tmp_path)
    await either_shelf.publish(RETURNS)
    await either_shelf.publish(replace(RETURNS, questions=("买回来反悔了咋整",)))
    found = await either_shelf.base.ask(tenant, "买回来反悔了咋整", language="zh")
    assert found.best is not None
    assert (found.best.article, found.best.version, found.best.text) == ("returns", 2, "买回来反悔了咋整")
    assert found.best.answer == "签收后七天内可以退货。"


async def test_crash_between_index_and_commit_is_repeated_without_a_trace(
    shelf: Shelf, tenant: TenantId, tmp_path: Path
) -> None:
    await stock(shelf, tenant, tmp_path)
    await shelf.articles.save_draft(tenant, RETURNS, author="ann", based_on=0)
    await shelf.articles.publish(tenant, "returns", "zh", 1)
    (turn,) = await shelf.bus.take(1)
    assert isinstance(turn.entry.event, ArticlePublished)
    await shelf.ingestion.handle(turn.entry.event, turn)  # the outcome is lost with the process
    found = await shelf.base.ask(tenant, QUESTION, language="zh")
    assert "returns" not in [hit.article for hit in found.passages]
    outcome = await shelf.ingestion.handle(turn.entry.event, turn)
    assert await shelf.bus.finish(turn, outcome)
    await shelf.work()
    assert (await shelf.ingestion.check(tenant)).ok
    found = await shelf.base.ask(tenant, QUESTION, language="zh")
    assert found.best is not None
    assert found.best.article == "returns"


async def test_only_the_last_wish_goes_live_when_two_are_waiting(
    shelf: Shelf, tenant: TenantId, tmp_path: Path
) -> None:
    await stock(shelf, tenant, tmp_path)
    for version, body in ((1, "签收后一天内可以退货。"), (2, "签收后两天内可以退货。")):
        await shelf.articles.save_draft(
            tenant, replace(RETURNS, body=body), author="ann", based_on=version - 1
        )
        await shelf.articles.publish(tenant, "returns", "zh", version)
    await shelf.work()
    states = [version.state for version in await shelf.articles.history(tenant, "returns", "zh")]
    assert states == ["live", "draft"]


async def test_publication_into_a_replaced_index_is_tried_again(
    either_shelf: Shelf, tenant: TenantId, tmp_path: Path
) -> None:
    await stock(either_shelf, tenant, tmp_path)
    await either_shelf.publish(INVOICE)
    await either_shelf.articles.save_draft(tenant, RETURNS, author="ann", based_on=0)
    await either_shelf.articles.publish(tenant, "returns", "zh", 1)
    (turn,) = await either_shelf.bus.take(1)
    assert isinstance(turn.entry.event, ArticlePublished)
    late: Outcome = await either_shelf.ingestion.handle(turn.entry.event, turn)
    await either_shelf.ingestion.rebuild(tenant)
    if late.writes:
        with pytest.raises(UpstreamUnavailable):
            await either_shelf.bus.finish(turn, late)
    again = await either_shelf.ingestion.handle(turn.entry.event, turn)
    assert await either_shelf.bus.finish(turn, again)
    await either_shelf.work()
    assert (await either_shelf.ingestion.check(tenant)).ok
    found = await either_shelf.base.ask(tenant, QUESTION, language="zh")
    assert found.best is not None
    assert found.best.article == "returns"


async def test_first_article_makes_the_first_index(shelf: Shelf, tenant: TenantId) -> None:
    assert (await shelf.ingestion.check(tenant)).ok
    assert (await shelf.base.ask(tenant, QUESTION, language="zh")).passages == ()
    await shelf.publish(RETURNS)
    found = await shelf.base.ask(tenant, QUESTION, language="zh")
    assert found.best is not None
    assert found.degraded == ()


async def test_index_is_built_anew_when_a_fifth_has_changed(
    shelf: Shelf, tenant: TenantId, tmp_path: Path
) -> None:
    await stock(shelf, tenant, tmp_path, count=4)
    await shelf.publish(RETURNS)
    standing = await shelf.database.read(lambda c: records.standing(c, tenant, "bigrams"))
    assert standing.release is not None
    assert (standing.release.number, standing.release.changed_passages) == (2, 0)
    assert (await shelf.ingestion.check(tenant)).ok


async def test_rebuild_replaces_a_lost_index_and_reports_its_progress(
    shelf: Shelf, tenant: TenantId, tmp_path: Path
) -> None:
    await stock(shelf, tenant, tmp_path)
    await shelf.index.drop(await collection_of(shelf, tenant))
    lost = await shelf.ingestion.check(tenant)
    assert (lost.ok, lost.indexed) == (False, 0)
    found = await shelf.base.ask(tenant, "商品7号怎么用", language="zh")
    assert found.degraded == ("index",)
    assert found.best is not None, "words alone still answer"
    assert found.best.article == "s7"
    seen: list[tuple[int, int]] = []
    await shelf.ingestion.rebuild(tenant, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (90, 90)
    assert (await shelf.ingestion.check(tenant)).ok
    assert (await shelf.base.ask(tenant, "商品7号怎么用", language="zh")).degraded == ()


async def test_publication_rebuilds_an_index_that_was_lost(
    shelf: Shelf, tenant: TenantId, tmp_path: Path
) -> None:
    await stock(shelf, tenant, tmp_path)
    await shelf.index.drop(await collection_of(shelf, tenant))
    await shelf.publish(RETURNS)
    assert (await shelf.ingestion.check(tenant)).ok
    found = await shelf.base.ask(tenant, QUESTION, language="zh")
    assert found.best is not None
    assert (found.best.article, found.degraded) == ("returns", ())


async def test_builds_and_publications_at_the_same_time_leave_one_whole_index(
    shelf: Shelf, tenant: TenantId, tmp_path: Path
) -> None:
    await stock(shelf, tenant, tmp_path)
    await asyncio.gather(
        shelf.ingestion.rebuild(tenant),
        shelf.publish(RETURNS),
        shelf.ingestion.rebuild(tenant),
        shelf.base.warm(tenant),
    )
    await shelf.work()
    assert (await shelf.ingestion.check(tenant)).ok
    found = await shelf.base.ask(tenant, QUESTION, language="zh")
    assert found.best is not None
    assert (found.best.article, found.degraded) == ("returns", ())


async def test_check_sees_passages_that_are_missing_or_left_over(
    shelf: Shelf, tenant: TenantId, tmp_path: Path
) -> None:
    await stock(shelf, tenant, tmp_path)
    name = await collection_of(shelf, tenant)
    vector = (await shelf.embedder.embed_queries(["x y"]))[:1]
    await shelf.index.add(name, ["left-over"], vector)
    health = await shelf.ingestion.check(tenant)
    assert not health.ok
    assert "91" in health.reason
    ids = await shelf.database.read(lambda c: records.some_live_ids(c, tenant, 1))
    await shelf.index.remove(name, ["left-over", *ids])
    assert not (await shelf.ingestion.check(tenant)).ok


async def test_import_reports_new_changed_unchanged_removed_and_broken(
    either_shelf: Shelf, tenant: TenantId, tmp_path: Path
) -> None:
    source = await stock(either_shelf, tenant, tmp_path, count=10)
    folder = tmp_path / "stock"
    report = await either_shelf.ingestion.import_source(tenant, source, "import")
    assert (report.new, report.changed, report.unchanged, report.removed) == (0, 0, 10, 0)
    text = (folder / "s1.md").read_text(encoding="utf-8")
    (folder / "s1.md").write_text(text.replace("说明", "说明书"), encoding="utf-8")
    (folder / "s2.md").unlink()
    (folder / "s3.md").write_bytes(b"\xff")
    report = await either_shelf.ingestion.import_source(tenant, source, "import")
    assert (report.new, report.changed, report.unchanged, report.removed) == (0, 1, 7, 0)
    assert [problem.place for problem in report.problems] == ["s3.md"]
    (folder / "s3.md").unlink()
    report = await either_shelf.ingestion.import_source(tenant, source, "import")
    assert (report.changed, report.removed) == (0, 2)
    assert (await either_shelf.ingestion.check(tenant)).ok
    found = await either_shelf.base.ask(tenant, "商品1号的说明书", language="zh", limit=20)
    articles = [hit.article for hit in found.passages]
    assert "s1" in articles
    assert not {"s2", "s3"} & set(articles)


async def test_import_leaves_what_editors_made_of_an_unchanged_file(
    shelf: Shelf, tenant: TenantId, tmp_path: Path
) -> None:
    source = await stock(shelf, tenant, tmp_path)
    edited = replace((await shelf.articles.get(tenant, "s1", "zh")).document, title="编辑改过的")
    await shelf.publish(edited)
    await shelf.articles.withdraw(tenant, "s2", "zh")
    await shelf.work()
    report = await shelf.ingestion.import_source(tenant, source, "import")
    assert report.unchanged == 30
    assert (await shelf.articles.get(tenant, "s1", "zh")).document.title == "编辑改过的"
    assert [line.live_version for line in await shelf.articles.catalogue(tenant) if line.id == "s2"] == [None]


async def test_import_that_crashed_before_indexing_is_settled_by_the_next_start(
    shelf: Shelf, tenant: TenantId, tmp_path: Path
) -> None:
    source = await stock(shelf, tenant, tmp_path, count=3)
    (tmp_path / "stock" / "s9.md").write_text(
        "---\ntitle: 第九\nlanguage: zh\n---\n第九号在此。", encoding="utf-8"
    )
    delivery = await source.read()
    await shelf.articles.take_in(tenant, delivery.documents, source=source.name, author="x", complete=True)
    assert await shelf.ingestion.settle(tenant) == 1
    assert await shelf.ingestion.settle(tenant) == 0
    found: Found = await shelf.base.ask(tenant, "第九号在此", language="zh")
    assert found.best is not None
    assert found.best.article == "s9"


async def test_whole_walk_works_on_chroma(
    shelf: Shelf, tenant: TenantId, clock: StandingClock, tmp_path: Path
) -> None:
    chroma = ChromaIndex(tmp_path / "chroma")
    real = assemble(shelf.database, shelf.bus, chroma, clock)
    await stock(real, tenant, tmp_path)
    await real.publish(RETURNS)
    await real.publish(POINTS)
    assert (await real.ingestion.check(tenant)).ok
    found = await real.base.ask(tenant, QUESTION, language="zh")
    assert found.best is not None
    assert (found.best.article, found.degraded) == ("returns", ())
    await chroma.close()
    lost = await real.base.ask(tenant, QUESTION, language="zh")
    assert lost.degraded == ("index",)
    assert lost.best is not None
    assert lost.best.article == "returns"
    assert 0 < lost.answerable < 1


async def test_publication_waits_while_the_index_is_away(
    shelf: Shelf, tenant: TenantId, clock: StandingClock, tmp_path: Path
) -> None:
    chroma = ChromaIndex(tmp_path / "chroma")
    real = assemble(shelf.database, shelf.bus, chroma, clock)
    await stock(real, tenant, tmp_path)
    await real.articles.save_draft(tenant, RETURNS, author="ann", based_on=0)
    await real.articles.publish(tenant, "returns", "zh", 1)
    await chroma.close()
    (turn,) = await shelf.bus.take(1)
    assert isinstance(turn.entry.event, ArticlePublished)
    with pytest.raises(UpstreamUnavailable):
        await real.ingestion.handle(turn.entry.event, turn)
