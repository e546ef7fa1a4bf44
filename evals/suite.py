"""A suite is a folder; `load` makes it a checked `Suite`, or says of every wrong line which file, where and why.

    suite.yaml     kind, title, thresholds, trials … (`forms.Head`)
    cases.jsonl    one case a line
    train.jsonl    a classifier's examples; without it the product's own model is measured
    labels.jsonl   titles of intents; with no examples at all they are the training
    articles/      the knowledge base of a retrieval suite

Called by `commands`. `python -m evals.suite --write` generates the JSON Schemas, `--check` compares them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from evals import forms
from foundation import errors

SUITES = Path(__file__).parent / "suites"
SCHEMAS = Path(__file__).parent / "schema"
SHOWN = 50
"""Faults of one suite that are listed; a file of another format has thousands."""

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Fault:
    file: str
    line: int
    """From 1; 0 for the file as a whole."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}" if self.line else f"{self.file}: {self.reason}"


class UnreadableSuite(errors.InvalidInput):
    """Nothing of the suite was run."""

    def __init__(self, name: str, faults: Sequence[Fault]) -> None:
        shown = "\n".join(f"  {fault}" for fault in faults[:SHOWN])
        more = f"\n  … and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        super().__init__(f"The suite {name} cannot be read:\n{shown}{more}", code="suite_unreadable")
        self.faults = list(faults)


@dataclass(frozen=True, slots=True)
class Suite:
    name: str
    folder: Path
    head: forms.Head
    cases: tuple[forms.Case, ...]
    train: tuple[forms.TrainingLine, ...]
    labels: tuple[forms.LabelLine, ...]
    digest: str
    """Of the cases: results of two runs are comparable when it is equal."""

    @property
    def articles(self) -> Path:
        return (self.folder / self.head.articles).resolve()

    @property
    def is_trained_here(self) -> bool:
        return bool(self.train or self.labels)


def find(name_or_folder: str) -> Path:
    """A name means one of ours, anything else is a path. Raises `UnreadableSuite`."""
    for folder in (SUITES / name_or_folder, Path(name_or_folder)):
        if (folder / "suite.yaml").is_file():
            return folder
    if Path(name_or_folder).is_dir():
        raise UnreadableSuite(name_or_folder, [Fault("suite.yaml", 0, "the file is missing")])
    known = ", ".join(path.name for path in ours())
    raise UnreadableSuite(
        name_or_folder, [Fault(name_or_folder, 0, f"no such folder, and not one of ours: {known}")]
    )


def ours() -> list[Path]:
    return sorted(path.parent for path in SUITES.glob("*/suite.yaml"))


def load(folder: Path) -> Suite:
    faults: list[Fault] = []
    head = _load_head(folder, faults)
    if head is None:
        raise UnreadableSuite(folder.name, faults)
    cases = _load_lines(folder, "cases.jsonl", forms.CASES[head.kind], faults=faults, required=True)
    train = _load_lines(folder, "train.jsonl", forms.TrainingLine, faults=faults)
    labels = _load_lines(folder, "labels.jsonl", forms.LabelLine, faults=faults)
    faults += _repeated(cases)
    if (train or labels) and head.kind not in ("intent", "emotion"):
        faults.append(Fault("train.jsonl", 0, f"a suite of the kind {head.kind} is not trained"))
    if head.kind == "retrieval" and not (folder / head.articles).is_dir():
        faults.append(Fault("suite.yaml", 0, f"articles: there is no folder {head.articles}"))
    if faults:
        raise UnreadableSuite(folder.name, faults)
    return Suite(
        name=folder.name,
        folder=folder,
        head=head,
        cases=tuple(case for _line, case in cases),
        train=tuple(line for _number, line in train),
        labels=tuple(line for _number, line in labels),
        digest=hashlib.sha256((folder / "cases.jsonl").read_bytes()).hexdigest()[:16],
    )


def schemas() -> dict[str, str]:
    """File name → content."""
    models: dict[str, type[BaseModel]] = {
        "suite": forms.Head,
        "train": forms.TrainingLine,
        "labels": forms.LabelLine,
    }
    models |= {f"{kind}_case": model for kind, model in forms.CASES.items()}
    return {
        f"{name}.json": json.dumps(model.model_json_schema(), indent=1, ensure_ascii=False) + "\n"
        for name, model in models.items()
    }


def _load_head(folder: Path, faults: list[Fault]) -> forms.Head | None:
    text = _read(folder, "suite.yaml", faults)
    if text is None:
        return None
    try:
        return forms.Head.model_validate(yaml.safe_load(text) or {})
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        faults.append(Fault("suite.yaml", line, f"not YAML: {error.problem}"))
    except ValidationError as error:
        faults += [
            Fault("suite.yaml", _line_of(text, fault["loc"]), _reason(fault)) for fault in _each(error)
        ]
    return None


def _load_lines(
    folder: Path, name: str, model: type[M], *, faults: list[Fault], required: bool = False
) -> list[tuple[int, M]]:
    if not required and not (folder / name).exists():
        return []
    text = _read(folder, name, faults)
    if text is None:
        return []
    found: list[tuple[int, M]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append((number, model.model_validate(_object(line))))
        except ValidationError as error:
            faults += [Fault(name, number, _reason(fault)) for fault in _each(error)]
        except ValueError as error:
            faults.append(Fault(name, number, str(error)))
    if not found and not faults:
        faults.append(Fault(name, 0, "the file has no lines"))
    return found


def _read(folder: Path, name: str, faults: list[Fault]) -> str | None:
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        faults.append(
            Fault(name, 0, "the file is missing" if isinstance(error, FileNotFoundError) else str(error))
        )
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        faults.append(Fault(name, line, "not UTF-8; save the file as UTF-8"))
        return None


def _object(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at character {error.pos + 1}: {error.msg}") from error
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object: begin the line with {")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _value in pairs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"the key {', '.join(sorted(twice))} stands twice")
    return dict(pairs)


def _repeated(cases: Sequence[tuple[int, forms.Case]]) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for number, case in cases:
        if case.id in first:
            yield Fault("cases.jsonl", number, f"the id {case.id!r} stands in line {first[case.id]} already")
        first.setdefault(case.id, number)


def _each(error: ValidationError) -> list[Any]:
    return list(error.errors(include_url=False))


def _reason(fault: Any) -> str:
    place = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return f"unknown key {place}"
    if fault["type"] == "missing":
        return f"the key {place} is missing"
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def _line_of(text: str, place: Sequence[int | str]) -> int:
    """Where the deepest named key of a small YAML file stands; 1 where it is missing."""
    for name in reversed([part for part in place if isinstance(part, str)]):
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip().startswith((f"{name}:", f'"{name}":')):
                return number
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.suite")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write the JSON Schemas")
    action.add_argument("--check", action="store_true", help="compare the JSON Schemas")
    chosen = parser.parse_args(arguments)
    stale = [
        name
        for name, content in schemas().items()
        if not (SCHEMAS / name).exists() or (SCHEMAS / name).read_text(encoding="utf-8") != content
    ]
    if chosen.write:
        SCHEMAS.mkdir(exist_ok=True)
        for name in stale:
            (SCHEMAS / name).write_text(schemas()[name], encoding="utf-8")
        return 0
    print(*(f"{name} is stale: python -m evals.suite --write" for name in stale), sep="\n", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
