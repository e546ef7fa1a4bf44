"""What the staff's routes take: one form a request, with its limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from foundation.messages import Frozen

PREVIEW_LIMIT = 20


class LogIn(Frozen):
    tenant: str = ""
    login: str = Field(max_length=100)
    password: str = Field(max_length=200)


class Say(Frozen):
    text: str = Field(max_length=10_000)
    key: str = Field("", max_length=100)


class Decide(Frozen):
    approved: bool
    reason: str = Field("", max_length=1000)


class File(Frozen):
    path: str = Field(max_length=300)
    base64: str


class Import(Frozen):
    """`name` is the source: a later import of the same name withdraws what is no longer in it."""

    name: str = Field("import", max_length=100, pattern=r"^\w[\w .-]*$")
    files: tuple[File, ...] = Field(max_length=5000)
    publish: bool = True


class Article(Frozen):
    title: str = Field(max_length=300)
    body: str = Field(max_length=200_000)
    questions: tuple[str, ...] = ()
    topic: str = ""
    audience: str = "public"
    based_on: int
    """The version the editor started from; 0 for a new article."""


class Preview(Frozen):
    id: str
    language: str
    title: str
    body: str
    questions: tuple[str, ...] = ()
    ask: tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...] = Field(
        min_length=1, max_length=PREVIEW_LIMIT
    )


class Version(Frozen):
    version: int = Field(ge=0, le=1_000_000_000)


class PromptText(Frozen):
    body: str = Field(max_length=50_000)
    note: str = Field("", max_length=500)
