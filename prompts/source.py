"""The text of a prompt file as its parts: head, and one body or one a language. Pure; raises `Broken` with its lines.

    ---
    id: replies/order_found
    version: 3
    purpose: Tells where an order is.
    purpose_zh: 告知订单到了哪里。
    inputs: {order_no: the number as the customer knows it, state: one word}
    examples: [{order_no: HL1, state: shipped}]
    ---
    ## zh
    …
    ## en
    …

`replies/` are written in every language of `LANGUAGES`, `agent/` in one body that may look at `language`, `snippets/`
either way. An edit in the console has bodies only: what code hands in is a contract with the file's head.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from foundation import errors

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
ANY = "any"
"""The key of a body that serves every language."""

FAMILIES = ("replies", "agent", "snippets")
_HEAD = re.compile(r"\A---\n(.*?)\n---[ \t]*\n", re.S)
_SECTION = re.compile(r"^## +(\S+)[ \t]*$", re.M)


@dataclass(frozen=True, slots=True)
class Fault:
    """`line` counts from 1 in the text that was checked, the file or the edit; 0 where no line is to blame."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


class Broken(errors.InvalidInput):
    """A text that cannot go live; the console shows `faults` beside their lines."""

    def __init__(self, prompt_id: str, faults: Sequence[Fault]) -> None:
        super().__init__(f"{prompt_id}: {'; '.join(map(str, faults))}", code="prompt_broken")
        self.faults = list(faults)


@dataclass(frozen=True, slots=True)
class Body:
    """`line` is where the text begins."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Source:
    id: str
    version: int
    purpose: str
    purpose_zh: str
    """For the content team, who read Chinese; "" where nobody has written it."""
    inputs: Mapping[str, str]
    """Name → what it is."""
    examples: tuple[Mapping[str, Any], ...]
    text: str
    """The bodies as written, what an editor edits."""
    bodies: Mapping[str, Body]

    def purpose_in(self, language: Language) -> str:
        return (self.purpose_zh if language == "zh" else "") or self.purpose

    def body(self, language: Language) -> Body:
        return self.bodies.get(ANY) or self.bodies[language]


def parse(prompt_id: str, content: str) -> Source:
    content = content.replace("\r\n", "\n").removeprefix("\ufeff")
    found = _HEAD.match(content)
    if found is None:
        raise Broken(prompt_id, [Fault(1, "begin the file with a head between two lines of ---")])
    head = _read_head(prompt_id, found.group(1))
    text = content[found.end() :]
    offset = content[: found.end()].count("\n")
    return Source(
        id=prompt_id,
        version=head.version,
        purpose=head.purpose,
        purpose_zh=head.purpose_zh,
        inputs=head.inputs,
        examples=tuple(head.examples),
        text=text.strip("\n") + "\n",
        bodies=parse_bodies(prompt_id, text, offset=offset),
    )


def parse_bodies(prompt_id: str, text: str, *, offset: int = 0) -> dict[str, Body]:
    """`offset` is the number of lines before the text in its file."""
    family = prompt_id.split("/", 1)[0]
    if family == "agent" or (family == "snippets" and not _named_languages(text)):
        return {ANY: _stripped(text, offset + 1)}
    return _sections(prompt_id, text, offset)


def fingerprint(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(text.strip() for text in texts).encode()).hexdigest()[:12]


def _inputs(value: object) -> object:
    """A list of names is enough; a mapping says what each of them is."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return dict.fromkeys(value, "")
    if isinstance(value, list) and all(isinstance(item, dict) and len(item) == 1 for item in value):
        return {str(name): "" if note is None else str(note) for item in value for name, note in item.items()}
    if isinstance(value, dict):
        return {str(name): "" if note is None else str(note) for name, note in value.items()}
    return {} if value is None else value


def _examples(value: object) -> object:
    return [value] if isinstance(value, dict) else value or []


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    version: int = Field(ge=1)
    purpose: str = Field(min_length=1)
    purpose_zh: str = ""
    inputs: Annotated[dict[str, str], BeforeValidator(_inputs)] = {}
    examples: Annotated[list[dict[str, Any]], BeforeValidator(_examples)] = []


def _read_head(prompt_id: str, text: str) -> _Head:
    try:
        head = _Head.model_validate(yaml.load(text, Loader=yaml.CSafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        raise Broken(prompt_id, [Fault(line, f"the head is not YAML: {error.problem}")]) from error
    except ValidationError as error:
        faults = [
            Fault(1, f"head: {'.'.join(map(str, fault['loc'])) or 'head'}: {fault['msg']}")
            for fault in error.errors()
        ]
        raise Broken(prompt_id, faults) from error
    if head.id not in (prompt_id, prompt_id.rsplit("/", 1)[-1]):
        raise Broken(prompt_id, [Fault(1, f"the head says id {head.id!r}; write {prompt_id}")])
    bad = [name for name in head.inputs if not name.isidentifier() or name.startswith("_")]
    if bad:
        raise Broken(prompt_id, [Fault(1, f"head: inputs: {', '.join(bad)} cannot be the name of an input")])
    for example in head.examples:
        if set(example) - {"language"} != set(head.inputs) - {"language"}:
            raise Broken(prompt_id, [Fault(1, "head: examples: each needs exactly the inputs")])
    return head


def _named_languages(text: str) -> bool:
    return any(name in LANGUAGES for name in _SECTION.findall(text))


def _sections(prompt_id: str, text: str, offset: int) -> dict[str, Body]:
    found = [match for match in _SECTION.finditer(text) if match.group(1) in LANGUAGES]
    faults: list[Fault] = []
    first = found[0].start() if found else len(text)
    if text[:first].strip():
        line = offset + text[: first - len(text[:first].lstrip())].count("\n") + 1
        faults.append(Fault(max(line, offset + 1), "text before the first section; begin with ## zh"))
    bodies: dict[str, Body] = {}
    for match, following in zip(found, [*found[1:], None], strict=True):
        language, end = match.group(1), following.start() if following else len(text)
        line = offset + text[: match.start()].count("\n") + 1
        if language in bodies:
            faults.append(Fault(line, f"the section ## {language} stands twice; keep one"))
        bodies[language] = _stripped(text[match.end() : end], line)
        if not bodies[language].text:
            faults.append(Fault(line, f"the section ## {language} is empty; write its text"))
    faults += [
        Fault(0, f"the section ## {name} is missing; add it") for name in LANGUAGES if name not in bodies
    ]
    if faults:
        raise Broken(prompt_id, faults)
    return bodies


def _stripped(text: str, line: int) -> Body:
    begin = len(text) - len(text.lstrip())
    return Body(text.strip(), line + text[:begin].count("\n"))
