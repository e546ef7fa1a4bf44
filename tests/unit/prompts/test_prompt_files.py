"""Prompt files as they stand on disk: what is refused, by which line, and what the lock guards."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation import errors
from prompts.library import main
from prompts.source import Broken, parse

GOOD = """---
id: greeting
version: 1
purpose: Says hello.
inputs: [name]
examples: [{name: 小王}]
---
## zh
你好，{{ name }}。
## en
Hello {{ name }}.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "replies").mkdir()
    write(tmp_path, GOOD)
    return tmp_path


def write(folder: Path, content: str) -> None:
    (folder / "replies" / "greeting.md").write_text(content, encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "line", "word"),
    [
        ("---\nid", "id", 1, "head"),
        ("purpose: Says hello.\n", "", 1, "purpose"),
        ("version: 1", "version: first", 1, "version"),
        ("version: 1", "version: [1", 4, "not YAML"),
        ("id: greeting", "id: farewell", 1, "farewell"),
        ("inputs: [name]", "inputs: [name]\ncolour: red", 1, "colour"),
        ("inputs: [name]", "inputs: [first name]", 1, "first name"),
        ("{name: 小王}", "{nme: 小王}", 1, "examples"),
        ("## en", "## fr", 0, "## en is missing"),
    ],
)
def test_file_is_refused_with_line_and_mend_when_it_is_malformed(
    old: str, new: str, line: int, word: str
) -> None:
    with pytest.raises(Broken) as caught:
        parse("replies/greeting", GOOD.replace(old, new, 1))
    assert caught.value.faults[0].line == line
    assert word in caught.value.public_text


def test_file_reads_alike_when_it_comes_from_windows() -> None:
    assert parse("replies/greeting", "\ufeff" + GOOD.replace("\n", "\r\n")) == parse("replies/greeting", GOOD)


def test_inputs_are_named_when_written_in_any_of_three_ways() -> None:
    for written in ("[name]", "{name: who it is}", "[{name: who it is}]"):
        source = parse("replies/greeting", GOOD.replace("inputs: [name]", f"inputs: {written}"))
        assert list(source.inputs) == ["name"]


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("Hello {{ name }}.", "Hello {{ nme }}.", "line 11: nme is not an input"),
        (
            "inputs: [name]\nexamples: [{name: 小王}]",
            "inputs: [name, city]",
            "line 1: the input city is declared but never used",
        ),
        ("Hello {{ name }}.", "Hello {{ name.first }}.", "line 11: example 1 in en"),
        ("Hello {{ name }}.", "{% if %}", "line 11"),
    ],
)
def test_check_fails_with_the_line_when_a_text_is_wrong(
    folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, word: str
) -> None:
    write(folder, GOOD.replace(old, new))
    assert main(["--check"], folder) == 1
    assert f"replies/greeting: {word}" in capsys.readouterr().err


def test_check_passes_when_the_lock_was_just_written(folder: Path) -> None:
    assert main(["--check"], folder) == 1
    assert main(["--lock"], folder) == 0
    assert main(["--check"], folder) == 0


def test_lock_is_refused_when_a_changed_text_keeps_its_version(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--lock"], folder)
    before = (folder / "prompts.lock").read_text()
    write(folder, GOOD.replace("Hello", "Hi"))
    assert main(["--check"], folder) == 1
    assert main(["--lock"], folder) == 1
    assert "write version: 2 into its head" in capsys.readouterr().err
    assert (folder / "prompts.lock").read_text() == before
    write(folder, GOOD.replace("Hello", "Hi").replace("version: 1", "version: 2"))
    assert main(["--check"], folder) == 1
    assert main(["--lock"], folder) == 0
    assert main(["--check"], folder) == 0


def test_check_fails_when_a_file_was_removed_or_the_lock_is_torn(folder: Path) -> None:
    main(["--lock"], folder)
    (folder / "replies" / "greeting.md").unlink()
    assert main(["--check"], folder) == 1
    (folder / "prompts.lock").write_text("replies/greeting one\n")
    assert main(["--check"], folder) == 1


def test_file_is_refused_when_it_is_not_text(folder: Path) -> None:
    (folder / "replies" / "greeting.md").write_bytes(b"\xff\xfe\x00")
    assert main(["--check"], folder) == 1


def test_error_is_one_of_our_tree_when_a_file_is_broken() -> None:
    with pytest.raises(errors.InvalidInput):
        parse("replies/greeting", "nothing")
