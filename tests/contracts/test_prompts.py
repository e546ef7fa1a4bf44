"""What every prompt file of the product promises: it parses, renders its examples, and the lock knows its text."""

from __future__ import annotations

import re

import pytest

from prompts import lock
from prompts.editions import Edition, faults_of, load_files
from prompts.library import FOLDER
from prompts.source import LANGUAGES, Source, fingerprint

FILES = load_files(FOLDER)


def test_there_are_files_to_look_at() -> None:
    assert len(FILES) > 10


def test_inputs_declared_are_inputs_used() -> None:
    assert faults_of(FILES) == []


@pytest.mark.parametrize("source", FILES.values(), ids=list(FILES))
def test_file_shows_itself_with_examples(source: Source) -> None:
    """Whoever edits it in the console sees what it looks like; languages never render the same by mistake."""
    assert source.examples or not set(source.inputs) - {"language"}, "add examples to the head"
    edition = Edition(FILES, {})
    for example in source.examples or ({},):
        values = {name: value for name, value in example.items() if name != "language"}
        for language in LANGUAGES:
            assert edition.render(source.id, language, values).text


def test_purpose_is_told_in_both_languages() -> None:
    """The content team reads it beside the text."""
    missing = [one.id for one in FILES.values() if not re.search("[一-鿿]", one.purpose_in("zh"))]
    assert missing == []
    assert not [one.id for one in FILES.values() if re.search("[一-鿿]", one.purpose_in("en"))]


def test_lock_knows_every_text_and_version() -> None:
    assert lock.differences(lock.entries(FILES), lock.load(FOLDER / "prompts.lock")) == []


def test_digest_differs_when_one_character_differs() -> None:
    assert fingerprint(["a"]) != fingerprint(["b"])
    assert fingerprint(["a", "b"]) != fingerprint(["ab"])
