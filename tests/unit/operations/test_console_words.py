"""The console's texts: both languages are there, every key that a page uses exists, and none is left over."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest
import yaml

from agent import policy
from operations.console import words
from operations.staff import PERMISSIONS

FOLDER = Path(words.__file__).parent
TEXTS: dict[str, dict[str, str]] = yaml.safe_load((FOLDER / "texts.yaml").read_text(encoding="utf-8"))
FAMILIES_BY_CODE = {
    "reason", "emotion", "intent", "rung", "tool", "staff", "spoken", "level", "order", "error", "state", "role",
    "keys", "nav", "version", "verdict", "audience", "language", "failure", "behaviour", "kind", "refusal", "shut",
    "fact", "tag", "source", "origin", "why", "risk", "tier", "badge", "name_of", "deed", "refused", "match",
    "webhook_answer", "webhook_state", "webhook_state_help",
    "webhook_delivery", "webhook_span", "erased", "erasure_state", "erasure_step",
    "import_state", "preview", "teach", "data_head", "consent_state", "consent_source", "consent_because", "consent_effect", "copy_format", "copied",
}  # fmt: skip
"""Families whose keys are made from a code, such as `order.shipped`."""
MADE = re.compile(
    r"^(knowledge|prompts)\.(tab_\w+|withdraw|save|publish|discard|keep_mine|take_theirs|title|id|language|audience|replies|agent|snippets)$|^fact\.(last_in|last_out|errors|token|window|refused|dead)(_help)?$|^privacy\.(stays|shared|in_work)$|^webhooks\.(test|secret|remove|url|description)$"
)


def test_every_text_stands_in_both_languages() -> None:
    assert len(TEXTS) > 200
    incomplete = [key for key, text in TEXTS.items() if set(text) != {"zh", "en"} or not all(text.values())]
    assert incomplete == []


def test_both_languages_name_the_same_values() -> None:
    def fields(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

    assert [key for key, text in TEXTS.items() if fields(text["zh"]) != fields(text["en"])] == []


def test_pages_use_keys_that_exist_and_none_is_left_over() -> None:
    used = _strings_in_code() | _keys_in_pages()
    keys = {
        text
        for text in used
        if re.fullmatch(r"[a-z_]+\.[a-z_]*[a-z]", text) and text.split(".")[0] in _families()
    }
    permissions = set().union(*PERMISSIONS.values())
    assert keys - TEXTS.keys() - permissions - _audited() - {"login.html", "copy.html"} == set()
    left = {
        key
        for key in TEXTS
        if key not in used and key.split(".")[0] not in FAMILIES_BY_CODE and not MADE.match(key)
    }
    assert left == set()


def test_codes_that_the_agent_gives_have_words() -> None:
    chinese = words.load()["zh"]
    intents = (FOLDER.parent.parent / "agent/understanding/data/intents.jsonl").read_text(encoding="utf-8")
    names = set(re.findall(r'"intent": ?"(\w+)"', intents))
    assert len(names) > 15
    assert {name for name in names if chinese.intent(name) == name} == set()
    for reason in ("anger", "threat", "self_harm", "wants_human", "complaint", "not_understood", "tool_down"):
        assert chinese.reason(reason) != reason
    assert {role for role in PERMISSIONS if chinese.role(role) == role} == set()
    assert policy.may_answer(1.0, policy.Rules()) == "answer"
    assert {f"verdict.{verdict}" for verdict in ("answer", "offer", "no")} <= TEXTS.keys()


def test_unknown_codes_are_shown_as_they_are() -> None:
    english = words.load()["en"]
    assert english.reason("a_tenants_own_rule") == "a_tenants_own_rule"
    assert english.reason(None) == ""
    assert "Disk {full}" in english.problem("unheard_of", "Disk {full}")
    assert english.problem("not_held", "ignored") == TEXTS["error.not_held"]["en"]
    with pytest.raises(KeyError):
        english("desk.no_such_text")


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        (None, "zh-CN,zh;q=0.9", "zh"),
        (None, "en-US", "en"),
        (None, "", "en"),
        ("zh", "en-US", "zh"),
        ("en", "zh-CN", "en"),
        ("xx", "ZH-TW", "zh"),
    ],
)
def test_language_is_the_cookies_and_then_the_browsers(
    cookie: str | None, accepted: str, language: str
) -> None:
    assert words.choose(cookie, accepted) == language


def _families() -> set[str]:
    return {key.split(".")[0] for key in TEXTS}


def _strings_in_code() -> set[str]:
    files = sorted(FOLDER.rglob("*.py"))
    assert len(files) > 8
    return {
        node.value
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _keys_in_pages() -> set[str]:
    pages = [path.read_text(encoding="utf-8") for path in (FOLDER / "pages").glob("*.html")]
    found = [re.findall(r'words\("([\w.]+)"', page) for page in pages]
    assert all(found)
    return {key for keys in found for key in keys}


def _audited() -> set[str]:
    """Names of actions in the audit trail look like keys."""
    code = "".join(path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.py"))
    return set(re.findall(r'_record\(\s*"([\w.]+)"', code))
