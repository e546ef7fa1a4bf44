"""The sizes and places that keep the house readable: small modules, small functions, one place for each thing."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from tests.house import house

MODULE_LINES = 400
FUNCTION_LINES = 60
MODULES_PER_FOLDER = 15
SETTINGS = 40
FENCES = {
    "service/http.py": "the HTTP handler",
    "service/worker.py": "the worker loop",
    "agent/nodes/act.py": "the tool loop",
    "evals/runner.py": "the eval case",
    "foundation/storage/database.py": "hands the error to the one who asked",
}
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "base", "manager", "core", "types"}


PATTERN = re.compile(r"\|.*\)|\[[^]]*[。！]")
"""A regular expression is made of words, too, but nobody reads it to a customer."""


def test_no_module_is_too_long() -> None:
    long = [
        house.name_of(path)
        for path in house.python_files(*house.PACKAGES, "benchmarks", "demo")
        if len(path.read_text().splitlines()) > MODULE_LINES
    ]
    assert long == []


def test_no_function_is_too_long() -> None:
    long = [
        f"{house.name_of(path)}:{node.lineno} {node.name}"
        for path, tree in house.parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES
    ]
    assert long == []


def test_no_folder_is_crowded() -> None:
    folders: dict[str, int] = {}
    for path in house.python_files():
        if path.name != "__init__.py":
            folders[house.name_of(path.parent)] = folders.get(house.name_of(path.parent), 0) + 1
    assert {folder: count for folder, count in folders.items() if count > MODULES_PER_FOLDER} == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        house.name_of(path)
        for path, tree in house.parsed()
        if ast.get_docstring(tree) is None and path.read_text().strip()
    ]
    assert silent == []


def test_only_the_fences_catch_everything() -> None:
    broad = {
        house.name_of(path)
        for path, tree in house.parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _only_cleans_up(node)
    }
    assert broad <= set(FENCES), "name the error by what the catcher must do"


def test_only_settings_read_the_environment() -> None:
    readers = {
        house.name_of(path)
        for path, tree in house.parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    }
    assert readers <= {"foundation/settings.py"}


def test_names_say_something() -> None:
    vague = [house.name_of(path) for path in house.python_files() if path.stem in FORBIDDEN_NAMES]
    assert vague == []


def test_top_level_names_shadow_nothing() -> None:
    assert not set(house.PACKAGES) & set(sys.stdlib_module_names)
    site = Path(ast.__file__).parent / "site-packages"
    assert not [name for name in house.PACKAGES if (site / name).is_dir()]


def test_customer_texts_are_not_in_code() -> None:
    """Sentences for customers live in prompts/ and data files; single words (a pattern, a unit) may stand in code."""
    sentence = re.compile(r"[\u4e00-\u9fff]{2,}[^\"']*[，。！？]")
    written = [
        f"{house.name_of(path)}:{node.lineno}"
        for path, tree in house.parsed("channels", "retrieval", "customers", "prompts", "agent", "service")
        for node in _strings_that_are_not_docs(tree)
        if sentence.search(node.value) and not PATTERN.search(node.value)
    ]
    assert written == []


def test_settings_stay_few() -> None:
    from foundation.settings import Settings

    assert 10 < len(Settings.model_fields) <= SETTINGS


def _is_broad(node: ast.expr | None) -> bool:
    return node is None or (isinstance(node, ast.Name) and node.id in {"Exception", "BaseException"})


def _only_cleans_up(handler: ast.ExceptHandler) -> bool:
    """It ends by raising the same error again, so nothing is caught."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


class _String(ast.Constant):
    value: str


def _strings_that_are_not_docs(tree: ast.Module) -> list[_String]:
    docs = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }
    return [
        node  # type: ignore[misc]  # narrowed by the two conditions
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]
