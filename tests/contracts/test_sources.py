"""One suite for every kind of source: stable, complete, and honest about what it could not read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from foundation.errors import InvalidInput
from retrieval.sources import registry
from retrieval.sources.contract import Source

GOOD = "---\nid: {id}\ntitle: 标题 {id}\nlanguage: zh\nquestions: [怎么办]\n---\n正文 {id}。\n"
BROKEN: dict[str, bytes] = {
    "yaml.md": b"---\ntitle: [\n---\ntext",
    "bytes.md": b"---\ntitle: t\n---\n\xff\xfe\xfd",
    "untitled.md": b"---\nlanguage: zh\n---\ntext",
    "huge.md": b"# t\n" + b"x" * 5_000_000,
    "empty.md": b"",
}


class Scene:
    """A source of one kind and the means to change what it stands on."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        folder.mkdir()
        self.source: Source = registry.make(kind, str(folder))

    def write(self, name: str, raw: bytes | None = None) -> None:
        path = self.folder / f"{name}.md" if raw is None else self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(GOOD.format(id=Path(name).name).encode() if raw is None else raw)


@pytest.fixture(params=sorted(registry.SOURCES))
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    made = Scene(tmp_path / "articles", request.param)
    for name in ("one", "two", "three"):
        made.write(name)
    return made


async def test_second_reading_of_an_unchanged_source_is_equal(scene: Scene) -> None:
    first, second = await scene.source.read(), await scene.source.read()
    assert first == second
    assert first.is_complete
    assert {document.id for document in first.documents} == {"one", "two", "three"}


async def test_name_stays_the_same_over_runs(scene: Scene) -> None:
    assert registry.make("markdown", str(scene.folder)).name == scene.source.name


@pytest.mark.parametrize("name", sorted(BROKEN))
async def test_broken_item_is_named_and_the_rest_is_read(scene: Scene, name: str) -> None:
    scene.write(name, BROKEN[name])
    delivery = await scene.source.read()
    assert len(delivery.documents) == 3
    assert [problem.place for problem in delivery.problems] == [name]
    assert delivery.problems[0].sentence.startswith(name)
    assert not delivery.is_complete, "a broken article must not look removed"


async def test_removed_item_is_not_delivered(scene: Scene) -> None:
    (scene.folder / "two.md").unlink()
    delivery = await scene.source.read()
    assert {document.id for document in delivery.documents} == {"one", "three"}
    assert delivery.is_complete


async def test_empty_source_does_not_claim_that_everything_is_gone(scene: Scene) -> None:
    for path in scene.folder.iterdir():
        path.unlink()
    assert not (await scene.source.read()).is_complete


async def test_missing_source_says_so(scene: Scene) -> None:
    with pytest.raises(InvalidInput, match="no folder"):
        await registry.make("markdown", str(scene.folder / "nowhere")).read()


async def test_id_that_is_taken_is_reported(scene: Scene) -> None:
    scene.write("sub/one")
    delivery = await scene.source.read()
    assert "taken by one.md" in delivery.problems[0].sentence
    assert len(delivery.documents) == 3


async def test_language_and_id_come_from_the_path_when_the_head_has_none(scene: Scene) -> None:
    scene.write("en/help/pay now.md", b"# Pay\n\nBy card.")
    scene.write("frei.md", "# 付款\n\n可以刷卡。".encode())
    scene.write("README.md", b"not an article")
    scene.write(".hidden/x.md", b"not an article")
    found = {(document.id, document.language) for document in (await scene.source.read()).documents}
    assert found >= {("help.pay-now", "en"), ("frei", "zh")}
    assert len(found) == 5


def test_unknown_kind_names_the_known_ones() -> None:
    make: Callable[[str, str], Source] = registry.make
    with pytest.raises(InvalidInput, match="markdown"):
        make("fax", "0800")
