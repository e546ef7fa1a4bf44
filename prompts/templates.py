"""What a prompt's text may do and how it becomes words: Jinja2 in a sandbox that is closer than Jinja2's own.

A text may use its inputs, `language`, plain filters, conditions, loops, and include snippets. It may not import,
inherit, call what grows without bound, or reach inside an object: values are plain data by the time they arrive,
and a customer's `{{ … }}` is just characters, because what was inserted is never read as a template again.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import CodeType
from typing import Any

from jinja2 import BaseLoader, StrictUndefined, Template, TemplateError, TemplateNotFound, meta, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from foundation import errors
from prompts.source import LANGUAGES, Body, Fault, Language, Source

FILTERS = frozenset(
    {
        "abs", "capitalize", "count", "d", "default", "first", "float", "int", "join", "last", "length", "list",
        "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select", "selectattr",
        "sort", "string", "sum", "title", "tojson", "trim", "truncate", "unique", "upper", "wordcount",
    }
)  # fmt: skip
TEXT_LIMIT = 40_000
"""Characters of a rendered text; beyond it something loops."""

FindBody = Callable[[str, Language], Body | None]
"""A snippet's body in a language."""

_LOOP_FACTS = frozenset({"index", "index0", "first", "last", "length", "revindex", "revindex0"})
_FORBIDDEN = (nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block, nodes.CallBlock, nodes.Macro)


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%"})

    def compile(self, source: Any, *arguments: Any, **named: Any) -> Any:
        return _code(source) if isinstance(source, str) else super().compile(source, *arguments, **named)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A key of a mapping or a fact of the loop, never an attribute: a string's methods can build gigabytes."""
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if isinstance(obj, LoopContext) and attribute in _LOOP_FACTS:
            return super().getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, str):
            return self.getattr(obj, argument)
        try:
            return obj[argument]
        except (LookupError, TypeError):
            return self.undefined(obj=obj, name=argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if (
            isinstance(left, int | float | Decimal)
            and isinstance(right, int | float | Decimal)
            and operator != "**"
        ):
            return super().call_binop(context, operator, left, right)
        raise SecurityError(f"the operator {operator} works on numbers only")


class _Snippets(BaseLoader):
    def __init__(self, find: FindBody, language: Language) -> None:
        self._find = find
        self._language = language

    def get_source(self, environment: Any, template: str) -> tuple[str, None, None]:
        body = self._find(template.removesuffix(".md"), self._language)
        if body is None:
            raise TemplateNotFound(template)
        return body.text, None, None


class Compiled:
    """One text of one prompt in one language, ready to render many times."""

    def __init__(self, template: Template) -> None:
        self._template = template

    def render(self, values: Mapping[str, Any]) -> str:
        """Raises `InvalidInput` when a value is missing deeper than the inputs (an item without a field)."""
        size, parts = 0, []
        try:
            for part in self._template.generate(values):
                size += len(part)
                if size > TEXT_LIMIT:
                    raise errors.InvalidInput("The text grows beyond all bounds.", code="prompt_too_long")
                parts.append(part)
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise errors.InvalidInput(
                f"The text cannot be rendered: {error}", code="prompt_render"
            ) from error
        return _tidy("".join(parts))


def compiled(body: Body, language: Language, find: FindBody) -> Compiled:
    return Compiled(_environment(find, language).from_string(body.text))


def includes(body: Body) -> list[str]:
    """Ids of the snippets that the text names itself; none when it is not a template."""
    try:
        found = _read(body.text).includes
    except TemplateSyntaxError:
        return []
    return [name.removesuffix(".md") for _line, name in found if name is not None]


def check(source: Source, find: FindBody, *, all_inputs_used: bool) -> list[Fault]:
    """Every fault of every language. `all_inputs_used` holds for files; an edit may leave an input unsaid."""
    faults: list[Fault] = []
    used: set[str] = set()
    for language in LANGUAGES:
        body = source.body(language)
        found, names = _check_body(body, language, find=find, known=set(source.inputs) | {"language"})
        faults += [fault for fault in found if fault not in faults]
        used |= names
    if all_inputs_used:
        unused = sorted(set(source.inputs) - used - {"language"})
        faults += [Fault(1, f"the input {name} is declared but never used; remove it") for name in unused]
    return faults or list(_faults_of_examples(source, find))


def plain(value: Any) -> Any:
    """The value as data, or `InvalidInput`: nothing that has behaviour may enter a template."""
    if value is None or isinstance(value, bool | int | float | Decimal | date | datetime):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    raise errors.InvalidInput(
        f"A prompt takes plain data, not a {type(value).__name__}.", code="prompt_inputs"
    )


def _environment(find: FindBody, language: Language) -> _Environment:
    environment = _Environment(
        loader=_Snippets(find, language),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: "" if value is None else value,
    )
    environment.globals.clear()
    environment.filters = {name: call for name, call in environment.filters.items() if name in FILTERS}
    environment.intercepted_binops = _Environment.intercepted_binops
    return environment


def _check_body(
    body: Body, language: Language, *, find: FindBody, known: set[str], depth: int = 0
) -> tuple[list[Fault], set[str]]:
    try:
        text = _read(body.text)
    except TemplateSyntaxError as error:
        line = body.line + error.lineno - 1
        return [Fault(line, f"{error.message}; look at the brackets and names there")], set()
    faults = [
        Fault(body.line + line - 1, f"{name} is not allowed in a prompt; remove it")
        for line, name in text.forbidden
    ]
    faults += [
        Fault(
            body.line + line - 1,
            f"{name} is not an input of this prompt; inputs are: {', '.join(sorted(known))}",
        )
        for name, line in sorted(text.names.items())
        if name not in known
    ]
    used = set(text.names)
    for line, name in text.includes:
        inner_faults, inner_used = _check_include(name, language, find=find, known=known, depth=depth)
        faults += [Fault(body.line + line - 1, fault.message) for fault in inner_faults]
        used |= inner_used
    return faults, used


def _check_include(
    included: str | None, language: Language, *, find: FindBody, known: set[str], depth: int
) -> tuple[list[Fault], set[str]]:
    if included is None or not included.startswith("snippets/"):
        return [Fault(0, 'only snippets can be included, by name: {% include "snippets/name" %}')], set()
    name = included.removesuffix(".md")
    body = find(name, language)
    if body is None:
        return [Fault(0, f"there is no {name}; write the file or remove the include")], set()
    if depth >= 3:
        return [Fault(0, f"snippets include each other too deeply at {name}")], set()
    faults, used = _check_body(body, language, find=find, known=known, depth=depth + 1)
    return [Fault(0, f"in {name}: {fault.message}") for fault in faults], used


def _faults_of_examples(source: Source, find: FindBody) -> Iterator[Fault]:
    for number, example in enumerate(source.examples, 1):
        for language in LANGUAGES:
            try:
                values = {**plain(example), "language": language}
                compiled(source.body(language), language, find).render(values)
            except errors.InvalidInput as error:
                line = source.body(language).line + _failing_line(error) - 1
                yield Fault(line, f"example {number} in {language}: {error.public_text}")


def _failing_line(error: errors.InvalidInput) -> int:
    """Jinja2 rewrites tracebacks so that the innermost frame of the template carries the template's line."""
    line, trace = 1, error.__cause__.__traceback__ if error.__cause__ else None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in ("<unknown>", "<template>"):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


@dataclass(frozen=True)
class _Text:
    """What one text names, by itself; lines count from 1 in the text."""

    forbidden: tuple[tuple[int, str], ...]
    names: Mapping[str, int]
    """What it expects from outside, with the line where it first stands."""
    includes: tuple[tuple[int, str | None], ...]
    """None where the name is not plainly written."""


# The same texts are looked at several times: a snippet by each prompt that includes it, everything again at each
# edit. Nothing but the characters decides the result, so it is kept.
@functools.lru_cache(maxsize=2048)
def _read(text: str) -> _Text:
    """Raises `TemplateSyntaxError`."""
    tree = _PLAIN.parse(text)
    lines: dict[str, int] = {}
    for node in tree.find_all(nodes.Name):
        lines.setdefault(node.name, node.lineno)
    found = _Text(
        forbidden=tuple((node.lineno, type(node).__name__.lower()) for node in tree.find_all(_FORBIDDEN)),
        names={name: lines.get(name, 1) for name in meta.find_undeclared_variables(tree)},
        includes=tuple((node.lineno, _written(node.template)) for node in tree.find_all(nodes.Include)),
    )
    _code(text)
    return found


@functools.lru_cache(maxsize=2048)
def _code(text: str) -> CodeType:
    """Every environment here has the same rules, so one compilation serves all of them."""
    return ImmutableSandboxedEnvironment.compile(_PLAIN, text)


def _written(name: nodes.Expr) -> str | None:
    return str(name.value) if isinstance(name, nodes.Const) else None


def _tidy(text: str) -> str:
    """A condition that says nothing leaves an empty line; three in a row are never meant."""
    return re.sub(r"\n[ \t]*\n(?:[ \t]*\n)+", "\n\n", text).strip()


_PLAIN = _environment(lambda _id, _language: None, "zh")
"""For what needs neither snippets nor a language."""
