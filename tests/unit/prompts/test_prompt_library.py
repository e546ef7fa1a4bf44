"""The library over files in a temporary folder and a real database: render, draft, publish, compare, roll back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation import errors
from foundation.messages import TenantId
from foundation.storage.database import Database
from prompts.library import Library
from prompts.source import Broken
from tests.conftest import StandingClock

FOUND = """---
id: replies/order_found
version: 3
purpose: Tells where an order is.
inputs: {order_no: the number, items: list of title and count}
examples:
  - order_no: HL1
    items: [{title: 台灯, count: 2}]
---
## zh

订单 {{ order_no }}：
{% for item in items %}
{{ loop.index }}. {{ item.title }} × {{ item.count }}
{% endfor %}
{% include "snippets/ending.md" %}

## en

Order {{ order_no }}: {{ items | length }} item(s).
{% include "snippets/ending" %}
"""
ENDING = """---
id: snippets/ending
version: 1
purpose: Last line.
---
## zh
还需要什么吗？
## en
Anything else?
"""
COMPOSE = """---
id: agent/compose
version: 1
purpose: Writes an answer.
inputs: [question]
examples: {question: "Where?"}
---
## Task

Answer in {% if language == "zh" %}Chinese{% else %}English{% endif %}: {{ question }}
"""
ITEMS = [{"title": "台灯", "count": 2}]
EDIT = "## zh\n{{ order_no }} 已找到。\n## en\nFound {{ order_no }}.\n"


def write(folder: Path, prompt_id: str, content: str) -> None:
    path = folder / f"{prompt_id}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "prompts"
    write(root, "replies/order_found", FOUND)
    write(root, "snippets/ending", ENDING)
    write(root, "agent/compose", COMPOSE)
    return root


@pytest.fixture
def library(database: Database, clock: StandingClock, folder: Path) -> Library:
    return Library(database, clock, folder)


async def shown(library: Library, tenant: TenantId, **changes: Any) -> str:
    values = {"order_no": "HL1", "items": ITEMS, **changes}
    return (await library.render(tenant, "replies/order_found", "en", **values)).text


async def test_text_is_rendered_in_both_languages_when_inputs_are_given(
    library: Library, tenant: TenantId
) -> None:
    zh = await library.render(tenant, "replies/order_found", "zh", order_no="HL1", items=ITEMS)
    assert zh.text == "订单 HL1：\n1. 台灯 × 2\n还需要什么吗？"
    assert await shown(library, tenant) == "Order HL1: 1 item(s).\nAnything else?"
    assert zh.digest.startswith("replies/order_found@3#")
    assert zh.language == "zh"


async def test_one_body_serves_both_languages_when_it_is_a_model_prompt(
    library: Library, tenant: TenantId
) -> None:
    zh = await library.render(tenant, "agent/compose", "zh", question="?")
    en = await library.render(tenant, "agent/compose", "en", question="?")
    assert zh.text == "## Task\n\nAnswer in Chinese: ?"
    assert en.text == "## Task\n\nAnswer in English: ?"
    assert zh.digest == en.digest


@pytest.mark.parametrize(
    ("values", "word"),
    [({"order_no": "1"}, "missing: items"), ({"order_no": "1", "items": [], "colour": 1}, "unknown: colour")],
)
async def test_render_is_refused_when_inputs_differ(
    library: Library, tenant: TenantId, values: dict[str, Any], word: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=word):
        await library.render(tenant, "replies/order_found", "en", **values)


async def test_render_is_refused_when_an_item_lacks_a_field(library: Library, tenant: TenantId) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        await library.render(tenant, "replies/order_found", "zh", order_no="1", items=[{"title": "x"}])
    assert caught.value.code == "prompt_render"


async def test_render_is_refused_when_a_value_is_not_data(library: Library, tenant: TenantId) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        await shown(library, tenant, order_no=object())
    assert caught.value.code == "prompt_inputs"


async def test_unknown_prompt_is_not_found_when_rendered(library: Library, tenant: TenantId) -> None:
    with pytest.raises(errors.NotFound):
        await library.render(tenant, "replies/none", "en")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60) | st.sampled_from(["{{ 7 * 7 }}", "{% include 'snippets/ending' %}", "{#"]))
async def test_inserted_text_stays_as_it_is_when_it_looks_like_a_template(
    library: Library, tenant: TenantId, text: str
) -> None:
    rendered = await library.render(tenant, "agent/compose", "en", question=f"‹{text}›")
    kept = rendered.text.removeprefix("## Task\n\nAnswer in English: ")
    assert kept.split() == f"‹{text}›".split()


async def test_next_render_uses_the_text_when_it_is_published(library: Library, tenant: TenantId) -> None:
    before = await shown(library, tenant)
    draft = await library.save_draft(tenant, "replies/order_found", EDIT, author="li", note="shorter")
    assert (draft.version, draft.state) == (4, "draft")
    assert await shown(library, tenant) == before
    assert await library.drafts(tenant) == [draft]
    live = await library.publish(tenant, "replies/order_found", 4, author="wang")
    assert live.state == "live"
    rendered = await library.render(tenant, "replies/order_found", "en", order_no="HL1", items=ITEMS)
    assert rendered.text == "Found HL1."
    assert rendered.digest.startswith("replies/order_found@4#")
    assert await library.drafts(tenant) == []


async def test_other_tenants_keep_their_text_when_one_publishes(library: Library, tenant: TenantId) -> None:
    await publish(library, tenant)
    assert "Anything else?" in await shown(library, TenantId("other"))


async def test_other_process_sees_the_text_when_a_second_has_passed(
    library: Library, tenant: TenantId, database: Database, clock: StandingClock, folder: Path
) -> None:
    other = Library(database, clock, folder)
    before = await shown(other, tenant)
    await publish(library, tenant)
    assert await shown(other, tenant) == before
    clock.move(seconds=1)
    assert await shown(other, tenant) == "Found HL1."


@pytest.mark.parametrize(
    ("body", "line", "word"),
    [
        ("## zh\n好\n## en\nHello {{ order_no }\n", 4, "unexpected"),
        ("## zh\n好\n## en\nHello\n{{ ordr_no }}\n", 5, "ordr_no is not an input"),
        ("## zh\n好\n", 0, "## en is missing"),
        ("## zh\n\n## en\nHello\n", 1, "## zh is empty"),
        ("Hello\n## zh\n好\n## en\nHello\n", 1, "before the first section"),
        ("## zh\n好\n## en\na\n## zh\n好\n", 5, "stands twice"),
        ("## zh\n好\n## en\n{% include 'agent/compose' %}\n", 4, "only snippets"),
        ("## zh\n好\n## en\n{% include 'snippets/nothing' %}\n", 4, "there is no snippets/nothing"),
        ("## zh\n好\n## en\n{% include order_no %}\n", 4, "only snippets"),
        ("## zh\n好\n## en\n{% macro m() %}x{% endmacro %}\n", 4, "macro is not allowed"),
        ("## zh\n好\n## en\n{% for i in items %}{{ i.nme }}{% endfor %}\n", 4, "nme"),
        ("## zh\n好\n## en\n{{ order_no.__class__ }}\n", 4, "__class__"),
        ("## zh\n好\n## en\n{{ order_no | center(999999999) }}\n", 4, "center"),
        ("## zh\n好\n## en\n{{ 'x' * 999999999 }}\n", 4, "numbers only"),
        ("## zh\n好\n## en\n{{ '%9999999d' % 1 }}\n", 4, "numbers only"),
        ("## zh\n好\n## en\n{{ range(10) }}\n", 4, "range is not an input"),
    ],
)
async def test_publishing_is_refused_with_the_line_when_a_draft_is_broken(
    library: Library, tenant: TenantId, body: str, line: int, word: str
) -> None:
    before = await shown(library, tenant)
    draft = await library.save_draft(tenant, "replies/order_found", body, author="li")
    with pytest.raises(Broken) as caught:
        await library.publish(tenant, "replies/order_found", draft.version, author="li")
    assert [fault.line for fault in caught.value.faults][:1] == [line]
    assert word in caught.value.public_text
    assert await library.faults(tenant, "replies/order_found", body) == caught.value.faults
    assert await shown(library, tenant) == before


async def test_snippet_cannot_be_published_when_a_text_that_includes_it_would_break(
    library: Library, tenant: TenantId
) -> None:
    draft = await library.save_draft(
        tenant, "snippets/ending", "## zh\n{{ name }}\n## en\n{{ name }}\n", author="li"
    )
    with pytest.raises(Broken, match="replies/order_found would break"):
        await library.publish(tenant, "snippets/ending", draft.version, author="li")


async def test_texts_and_digests_change_when_a_snippet_in_them_is_published(
    library: Library, tenant: TenantId
) -> None:
    before = await library.render(tenant, "replies/order_found", "en", order_no="HL1", items=ITEMS)
    draft = await library.save_draft(tenant, "snippets/ending", "## zh\n再见\n## en\nBye.\n", author="li")
    await library.publish(tenant, "snippets/ending", draft.version, author="li")
    after = await library.render(tenant, "replies/order_found", "en", order_no="HL1", items=ITEMS)
    assert after.text.endswith("Bye.")
    assert after.digest != before.digest


async def test_draft_is_refused_when_it_includes_itself(library: Library, tenant: TenantId) -> None:
    body = "## zh\n{% include 'snippets/ending' %}\n## en\n{% include 'snippets/ending' %}\n"
    faults = await library.faults(tenant, "snippets/ending", body)
    assert any("too deeply" in fault.message for fault in faults)


async def test_preview_shows_the_draft_with_the_examples_when_asked(
    library: Library, tenant: TenantId
) -> None:
    previews = await library.preview(tenant, "replies/order_found", EDIT)
    assert [(one.language, one.text) for one in previews] == [("zh", "HL1 已找到。"), ("en", "Found HL1.")]
    own = await library.preview(tenant, "replies/order_found", EDIT, {"order_no": "HL9", "items": []})
    assert own[1].text == "Found HL9."


async def test_publishing_conflicts_when_the_draft_is_already_live(
    library: Library, tenant: TenantId
) -> None:
    await publish(library, tenant)
    with pytest.raises(errors.Conflict):
        await library.publish(tenant, "replies/order_found", 4, author="li")


async def test_earlier_text_is_live_again_when_rolled_back(library: Library, tenant: TenantId) -> None:
    await publish(library, tenant)
    await publish(library, tenant, EDIT.replace("Found", "Here is"))
    back = await library.rollback(tenant, "replies/order_found", 4, author="wang")
    assert (back.version, back.state, back.note) == (6, "live", "as version 4")
    assert await shown(library, tenant) == "Found HL1."
    states = [(one.version, one.state) for one in await library.versions(tenant, "replies/order_found")]
    assert states == [(6, "live"), (5, "archived"), (4, "archived"), (3, "file")]


async def test_text_of_the_release_is_live_again_when_rolled_back_to_it(
    library: Library, tenant: TenantId
) -> None:
    before = await shown(library, tenant)
    await publish(library, tenant)
    assert (await library.rollback(tenant, "replies/order_found", 3, author="wang")).state == "file"
    assert await shown(library, tenant) == before


async def test_diff_shows_changed_lines_when_two_versions_differ(library: Library, tenant: TenantId) -> None:
    await publish(library, tenant)
    lines = await library.diff(tenant, "replies/order_found", 3, 4)
    assert "+Found {{ order_no }}." in lines
    assert "-Order {{ order_no }}: {{ items | length }} item(s)." in lines
    assert await library.diff(tenant, "replies/order_found", 4, 4) == []


async def test_saving_again_replaces_the_draft_when_one_is_open(library: Library, tenant: TenantId) -> None:
    await library.save_draft(tenant, "replies/order_found", "half a th", author="li")
    second = await library.save_draft(tenant, "replies/order_found", EDIT, author="li")
    assert second.version == 4
    assert [draft.body for draft in await library.drafts(tenant)] == [EDIT]
    await library.discard_draft(tenant, "replies/order_found")
    assert await library.drafts(tenant) == []


async def test_file_speaks_when_a_new_release_no_longer_fits_the_edit(
    library: Library, tenant: TenantId, database: Database, clock: StandingClock, folder: Path
) -> None:
    await publish(library, tenant)
    write(folder, "replies/order_found", FOUND.replace("order_no", "number"))
    newer = Library(database, clock, folder)
    rendered = await newer.render(tenant, "replies/order_found", "en", number="HL1", items=ITEMS)
    assert rendered.text.startswith("Order HL1")


async def test_file_speaks_when_an_edit_fails_on_real_values(library: Library, tenant: TenantId) -> None:
    body = "## zh\n{{ items[0].title }}\n## en\n{{ items[0].title }}\n"
    await publish(library, tenant, body)
    assert await shown(library, tenant) == "台灯"
    assert (await shown(library, tenant, items=[])).startswith("Order HL1: 0")


async def test_edits_work_alike_when_the_database_is_another(
    either_database: Database, clock: StandingClock, folder: Path, tenant: TenantId
) -> None:
    library = Library(either_database, clock, folder)
    await publish(library, tenant)
    await publish(library, tenant, EDIT.replace("Found", "Here is"))
    assert await shown(library, tenant) == "Here is HL1."


async def publish(library: Library, tenant: TenantId, body: str = EDIT) -> None:
    draft = await library.save_draft(tenant, "replies/order_found", body, author="li")
    await library.publish(tenant, "replies/order_found", draft.version, author="li")
