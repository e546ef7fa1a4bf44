"""The table of channels in the documentation, made from what the adapters declare; `make channels` writes it, CI checks it.

A tier is reached when all its rules and those of the tiers below are done or exempt with a reason; what is still to do
stands behind it.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from channels.contract import ChannelSpec
from channels.registry import CHANNELS

ADAPTERS = Path(__file__).parent / "adapters"
TIERS = ("answers", "dependable", "native")
HEAD = """# Channels

Made by `make channels` from each adapter's `quality.toml`; do not edit. A tier is reached when every rule of it and of the
tiers below is done or exempt with a reason. No adapter was exercised against a live platform: facts come from the
platforms' documents, and what could not be confirmed is a setting, named in the adapter's README.

| channel | | tier | still to do | cannot be, and why |
|---|---|---|---|---|
"""


def tier_of(quality: Mapping[str, Mapping[str, Any]]) -> str:
    """The highest tier without anything left to do; "" when the first is not reached."""
    reached = ""
    for tier in TIERS:
        if _of_kind(quality, "todo", tier):
            return reached
        reached = tier
    return reached


def make() -> str:
    return HEAD + "".join(_row(spec) for spec in CHANNELS)


def _row(spec: ChannelSpec) -> str:
    quality = tomllib.loads((ADAPTERS / spec.name / "quality.toml").read_text(encoding="utf-8"))
    tier = "closed" if spec.closed else tier_of(quality) or "–"
    name = f"[`{spec.name}`](../channels/adapters/{spec.name}/README.md)"
    todo = "; ".join(_of_kind(quality, "todo"))
    exempt = "; ".join([*([spec.closed] if spec.closed else []), *_of_kind(quality, "exempt")])
    return (
        f"| {name} | {spec.title['zh']} · {spec.title['en']} | {tier} | {_cell(todo)} | {_cell(exempt)} |\n"
    )


def _of_kind(quality: Mapping[str, Mapping[str, Any]], kind: str, tier: str = "") -> list[str]:
    return [
        f"{rule}: {state[kind]}"
        for name, rules in quality.items()
        if not tier or name == tier
        for rule, state in rules.items()
        if isinstance(state, dict) and kind in state
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _main(arguments: list[str]) -> int:
    action, path = arguments
    if action == "--write":
        Path(path).write_text(make(), encoding="utf-8")
        return 0
    if Path(path).exists() and Path(path).read_text(encoding="utf-8") == make():
        return 0
    sys.stderr.write(f"{path} is not what the adapters say: run `make channels`.\n")
    return 1


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
