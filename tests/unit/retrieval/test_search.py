"""What a reader may see, in which language, how it is quoted, and what a draft would change."""

from __future__ import annotations

from dataclasses import replace

from foundation.messages import TenantId
from retrieval import records, search
from retrieval.front_matter import Document
from retrieval.lexicon import Lexicon
from retrieval.passages import Audience, Query
from tests.conftest import StandingClock
from tests.unit.retrieval.conftest import INVOICE, POINTS, RETURNS, Shelf

PAY = Document(
    "staff-pay", "zh", "赔付权限", "客服赔付上限三十元。", ("最多能赔多少",), "internal", "internal"
)
CARD = Document("gold-card", "zh", "金卡礼遇", "金卡会员生日有礼。", ("金卡生日送什么",), "members", "member")


async def articles_found(
    shelf: Shelf, tenant: TenantId, text: str, audience: Audience = "public"
) -> list[str]:
    found = await shelf.base.ask(tenant, text, language="zh", audience=audience, limit=20)
    return [hit.article for hit in found.passages]


async def test_audience_decides_what_is_seen(either_shelf: Shelf, tenant: TenantId) -> None:
    for document in (RETURNS, PAY, CARD):
        await either_shelf.publish(document)
    expected: dict[Audience, set[str]] = {
        "public": {"returns"},
        "member": {"returns", "gold-card"},
        "internal": {"returns", "gold-card", "staff-pay"},
    }
    for audience, seen in expected.items():
        assert (
            set(await articles_found(either_shelf, tenant, "最多能赔多少 金卡 退货", audience=audience))
            == seen
        )


async def test_article_is_seen_from_its_first_day_to_its_last(
    either_shelf: Shelf, tenant: TenantId, clock: StandingClock
) -> None:
    await either_shelf.publish(replace(RETURNS, valid_from="2026-11-26", valid_until="2026-11-27"))
    seen = []
    for _ in range(4):
        seen.append(await articles_found(either_shelf, tenant, "退货"))
        clock.move(days=1)
    assert seen == [[], ["returns"], ["returns"], []]


async def test_readers_language_comes_first_and_the_other_one_is_flagged(
    shelf: Shelf, tenant: TenantId
) -> None:
    english = replace(
        INVOICE, language="en", title="Invoices", body="Tick e-invoice.", questions=("发票 invoice",)
    )
    for document in (INVOICE, english, POINTS):
        await shelf.publish(document)
    found = await shelf.base.ask(tenant, "发票 invoice points expire", language="zh")
    shown = {hit.article: (hit.language, hit.other_language) for hit in found.passages}
    assert shown == {"invoice": ("zh", False), "points": ("en", True)}


async def test_article_found_by_its_other_language_only_is_shown_in_the_readers(
    shelf: Shelf, tenant: TenantId
) -> None:
    chinese = replace(POINTS, language="zh", title="会员积分", body="消费一元积一分。", questions=())
    for document in (POINTS, chinese):
        await shelf.publish(document)
    for number in range(120):
        await shelf.articles.save_draft(
            tenant,
            Document(f"p{number}", "en", f"Points {number}", "When do my points expire?"),
            author="x",
            based_on=0,
        )
    delivery = [(await shelf.articles.get(tenant, f"p{number}", "en")).document for number in range(120)]
    await shelf.articles.take_in(
        tenant, [replace(d, topic="t") for d in delivery], source="s", author="x", complete=False
    )
    await shelf.ingestion.settle(tenant)
    found = await shelf.base.ask(
        tenant, "When do my points expire? How do I earn points?", language="zh", limit=200
    )
    mine = [hit for hit in found.passages if hit.article == "points"]
    assert [(hit.language, hit.other_language, hit.answer) for hit in mine] == [
        ("zh", False, "消费一元积一分。")
    ]


async def test_traditional_question_finds_the_simplified_article_and_the_other_way(
    shelf: Shelf, tenant: TenantId
) -> None:
    traditional = Document("warranty", "zh-Hant", "保養期限", "電飯煲保養兩年。", ("電飯煲保養幾耐",))
    for document in (RETURNS, INVOICE, traditional):
        await shelf.publish(document)
    assert (await articles_found(shelf, tenant, "電子發票怎麼開"))[0] == "invoice"
    assert (await articles_found(shelf, tenant, "电饭煲保养几年"))[0] == "warranty"


async def test_odd_questions_are_answered_without_an_error(shelf: Shelf, tenant: TenantId) -> None:
    await shelf.publish(RETURNS)
    for text in (
        "",
        " ",
        "🙂🙂",
        "\u202e\u200f",
        "'; DROP TABLE article; --",
        "<script>",
        "退" * 10_000,
        "\x00",
    ):
        found = await shelf.base.ask(tenant, text, language="zh")
        assert 0.0 <= found.answerable <= 1.0
    assert (await shelf.base.ask(TenantId("nobody"), "退货", language="zh")).passages == ()


async def test_question_of_the_base_is_likelier_answered_than_a_strange_one(
    shelf: Shelf, tenant: TenantId
) -> None:
    for document in (RETURNS, INVOICE, POINTS):
        await shelf.publish(document)
    own = await shelf.base.ask(tenant, "多少天内可以退货", language="zh")
    strange = await shelf.base.ask(tenant, "明天北京会下雨吗", language="zh")
    assert own.answerable > 0.8 > strange.answerable


async def test_quote_stands_letter_by_letter_in_the_article(shelf: Shelf, tenant: TenantId) -> None:
    table = "| 档位 | 价格 |\n| --- | --- |\n" + "\n".join(
        f"| 第{n}档 | {n} 元，满一百包邮 |" for n in range(60)
    )
    long = Document(
        "fees",
        "zh",
        "运费表",
        f"{'这是一句很长的说明，' * 12}到此为止。第二句。\n\n## 表\n{table}",
        ("运费表",),
    )
    for document in (RETURNS, POINTS, long):
        await shelf.publish(document)
    bodies = {document.id: document.body for document in (RETURNS, POINTS, long)}
    for text in ("退货", "运费表", "第7档 元 满一百包邮", "points expire", "第59档"):
        for hit in (await shelf.base.ask(tenant, text, language="zh", limit=10)).passages:
            citation = search.cite(hit)
            assert citation.quote
            assert citation.quote in bodies[hit.article]
            assert (citation.title, citation.version) == (hit.title, hit.version)


async def test_preview_shows_the_answer_before_and_after_and_publishes_nothing(
    shelf: Shelf, tenant: TenantId
) -> None:
    for document in (RETURNS, INVOICE):
        await shelf.publish(document)
    draft = replace(RETURNS, body="签收后三十天内可以退货。", questions=(*RETURNS.questions, "买错了咋办"))
    known, fresh = await shelf.base.preview(tenant, draft, ["多少天内可以退货", "买错了咋办"])
    assert known.before.best is not None
    assert known.after.best is not None
    assert known.before.best.answer == "签收后七天内可以退货。"
    assert known.after.best.answer == "签收后三十天内可以退货。"
    assert fresh.after.best is not None
    assert (fresh.after.best.article, fresh.after.best.version) == ("returns", search.DRAFT_VERSION)
    assert fresh.after.answerable > fresh.before.answerable
    live = await shelf.base.ask(tenant, "买错了咋办", language="zh")
    assert all(hit.version == 1 for hit in live.passages)
    assert [version.version for version in await shelf.articles.history(tenant, "returns", "zh")] == [1]


async def test_preview_of_a_first_article_works_in_an_empty_base(shelf: Shelf, tenant: TenantId) -> None:
    (preview,) = await shelf.base.preview(tenant, RETURNS, ["多少天内可以退货"])
    assert preview.before.passages == ()
    assert preview.after.best is not None


async def test_search_says_so_when_nothing_works(shelf: Shelf, tenant: TenantId) -> None:
    await shelf.publish(RETURNS)
    vector = (await shelf.embedder.embed_queries(["退货"]))[0]
    await shelf.database.write(lambda c: c.exec_driver_sql("ALTER TABLE passage RENAME TO lost"))
    found = await shelf.base.search(Query(tenant, "退货", vector))
    assert (found.passages, found.degraded) == ((), ("index", "lexical"))


async def test_first_words_are_waited_for_and_later_ones_only_for_a_while(
    shelf: Shelf, tenant: TenantId
) -> None:
    await shelf.publish(RETURNS)
    words = Lexicon(shelf.database)
    revision = (await shelf.database.read(lambda c: records.standing(c, tenant, ""))).revision
    assert await words.ensure(tenant, revision, patience_seconds=0)
    assert await words.search(tenant, "退货", 5)
    await shelf.publish(INVOICE)
    assert not await words.ensure(tenant, revision + 1, patience_seconds=0)
    assert await words.search(tenant, "退货", 5), "with what is there"
    assert await words.ensure(tenant, revision + 1, patience_seconds=None)
    assert await words.search(tenant, "发票", 5)
