"""Every sentence that reaches a customer or a model: rendered from files, and from what the content team published.

The agent, the channels and the desk render; the console drafts, previews, publishes, compares and rolls back. A publication
is seen by the next render of this process, and by other processes within a second: they look at a counter in SQL.
`python -m prompts.library --lock` writes `prompts.lock`, `--check` checks the files and the lock.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
import structlog

from foundation import errors
from foundation.clock import Clock, from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Database
from prompts import lock, records
from prompts.editions import Edition, Rendered, edited, faults_of, load_files
from prompts.source import LANGUAGES, Broken, Fault, Language, Source

FOLDER = Path(__file__).parent
LOOK_EVERY = timedelta(seconds=1)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Version:
    """One text of a prompt; the one that came with the release has the state `file`."""

    prompt_id: str
    version: int
    body: str
    state: Literal["file", "draft", "live", "archived"]
    author: str = ""
    note: str = ""
    written_at: datetime | None = None
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    language: Language
    example: int
    text: str


@dataclass(frozen=True, slots=True)
class _Seen:
    edition: Edition
    counter: int
    looked_at: datetime


class Library:
    """Reads the files when it is made; raises `ConfigurationError` when one of them is broken."""

    def __init__(self, database: Database, clock: Clock, folder: Path = FOLDER) -> None:
        self._database = database
        self._clock = clock
        self._files = _load_sound_files(folder)
        self._seen: dict[str, _Seen] = {}

    async def render(
        self, tenant: TenantId, prompt_id: str, language: Language, /, **values: Any
    ) -> Rendered:
        """Raises `InvalidInput` when the inputs are not exactly those of the prompt's head."""
        edition = await self._edition(tenant)
        try:
            return edition.render(prompt_id, language, values)
        except errors.InvalidInput as error:
            if error.code == "prompt_inputs" or not edition.is_edited(prompt_id):
                raise
            log.warning("prompt_edit_failed", prompt=prompt_id, reason=error.code)
        return Edition(self._files, {}).render(prompt_id, language, values)

    async def prompts(self, tenant: TenantId) -> list[Source]:
        """What is live, for the list in the console, by id."""
        edition = await self._edition(tenant)
        return [edition.get(prompt_id) for prompt_id in sorted(self._files)]

    async def drafts(self, tenant: TenantId) -> list[Version]:
        rows = await self._database.read(lambda c: records.list_by_state(c, tenant, "draft"))
        return [_version(row) for row in rows]

    async def versions(self, tenant: TenantId, prompt_id: str) -> list[Version]:
        """Newest first; the release's own text last."""
        file = self._file(prompt_id)
        rows = await self._database.read(lambda c: records.list_versions(c, tenant, prompt_id))
        return [*map(_version, rows), Version(prompt_id, file.version, file.text, "file")]

    async def save_draft(
        self, tenant: TenantId, prompt_id: str, body: str, *, author: str, note: str = ""
    ) -> Version:
        """The prompt's one draft; saving again replaces it. Broken texts are kept too: `faults` says what is wrong."""
        file = self._file(prompt_id)
        now = to_milliseconds(self._clock())

        def save(connection: sa.Connection) -> sa.Row[Any] | None:
            draft = records.find_draft(connection, tenant, prompt_id)
            values = {"body": body, "author": author, "note": note, "written_at": now}
            if draft is not None:
                records.change(connection, tenant, prompt_id, draft.version, **values)
                return records.find(connection, tenant, prompt_id, draft.version)
            versions = [row.version for row in records.list_versions(connection, tenant, prompt_id)]
            version = max([file.version, *versions]) + 1
            key = {"tenant": tenant, "prompt_id": prompt_id, "version": version, "state": "draft"}
            records.add(connection, {**key, **values})
            return records.find(connection, tenant, prompt_id, version)

        row = await self._database.write(save)
        assert row is not None
        return _version(row)

    async def discard_draft(self, tenant: TenantId, prompt_id: str) -> None:
        def discard(connection: sa.Connection) -> None:
            draft = records.find_draft(connection, tenant, prompt_id)
            if draft is not None:
                records.remove(connection, tenant, prompt_id, draft.version)

        await self._database.write(discard)

    async def faults(self, tenant: TenantId, prompt_id: str, body: str) -> list[Fault]:
        """What keeps this text from being published, by line of the text; empty when nothing does."""
        file = self._file(prompt_id)
        edition = await self._edition(tenant)
        return _faults(edition, file, body)

    async def preview(
        self, tenant: TenantId, prompt_id: str, body: str, values: dict[str, Any] | None = None
    ) -> list[Preview]:
        """The text with the examples of the file's head, or with `values`, in each language. Raises `InvalidInput`."""
        source = edited(self._file(prompt_id), 0, body)
        edition = (await self._edition(tenant)).with_edit(source)
        examples = list(source.examples) if values is None else [values]
        return [
            Preview(language, number, edition.render(prompt_id, language, _inputs_only(example)).text)
            for number, example in enumerate(examples or [{}], 1)
            for language in LANGUAGES
        ]

    async def publish(self, tenant: TenantId, prompt_id: str, version: int, *, author: str) -> Version:
        """Live for the next render. Raises `InvalidInput` for a broken draft, `Conflict` when it is no longer
        the draft that was looked at."""
        file = self._file(prompt_id)
        draft = await self._get(tenant, prompt_id, version)
        if found := _faults(await self._edition(tenant), file, draft.body):
            raise Broken(prompt_id, found)
        now = to_milliseconds(self._clock())

        def publish(connection: sa.Connection) -> sa.Row[Any] | None:
            row = records.find(connection, tenant, prompt_id, version)
            if row is None or row.state != "draft" or row.body != draft.body:
                raise errors.Conflict(
                    "This draft was changed or published meanwhile; look at it again.", code="draft_changed"
                )
            records.archive_live(connection, tenant, prompt_id)
            records.change(
                connection, tenant, prompt_id, version, state="live", published_at=now, published_by=author
            )
            records.count_publication(connection, tenant)
            return records.find(connection, tenant, prompt_id, version)

        row = await self._database.write(publish)
        self._seen.pop(tenant, None)
        assert row is not None
        return _version(row)

    async def diff(self, tenant: TenantId, prompt_id: str, old: int, new: int) -> list[str]:
        """Lines of a unified diff; empty when the texts are equal."""
        before, after = [await self._get(tenant, prompt_id, version) for version in (old, new)]
        return list(
            difflib.unified_diff(
                before.body.splitlines(),
                after.body.splitlines(),
                f"{prompt_id} {old}",
                f"{prompt_id} {new}",
                lineterm="",
            )
        )

    async def rollback(self, tenant: TenantId, prompt_id: str, version: int, *, author: str) -> Version:
        """An earlier text is live again, as a new version, checked like any other; the release's text takes over by
        withdrawing the edit. An open draft is left alone."""
        earlier = await self._get(tenant, prompt_id, version)
        if earlier.state == "file":
            await self._withdraw(tenant, prompt_id)
            return earlier
        file = self._file(prompt_id)
        if found := _faults(await self._edition(tenant), file, earlier.body):
            raise Broken(prompt_id, found)
        now = to_milliseconds(self._clock())

        def roll_back(connection: sa.Connection) -> sa.Row[Any] | None:
            versions = [row.version for row in records.list_versions(connection, tenant, prompt_id)]
            number = max([file.version, *versions]) + 1
            records.archive_live(connection, tenant, prompt_id)
            records.add(
                connection,
                {
                    "tenant": tenant, "prompt_id": prompt_id, "version": number, "body": earlier.body,
                    "author": author, "note": f"as version {version}", "state": "live", "written_at": now,
                    "published_at": now, "published_by": author,
                },
            )  # fmt: skip
            records.count_publication(connection, tenant)
            return records.find(connection, tenant, prompt_id, number)

        row = await self._database.write(roll_back)
        self._seen.pop(tenant, None)
        assert row is not None
        return _version(row)

    async def _withdraw(self, tenant: TenantId, prompt_id: str) -> None:
        def withdraw(connection: sa.Connection) -> None:
            if records.archive_live(connection, tenant, prompt_id):
                records.count_publication(connection, tenant)

        await self._database.write(withdraw)
        self._seen.pop(tenant, None)

    async def _edition(self, tenant: TenantId) -> Edition:
        seen = self._seen.get(tenant)
        now = self._clock()
        if seen is not None and timedelta() <= now - seen.looked_at < LOOK_EVERY:
            return seen.edition

        def look(connection: sa.Connection) -> tuple[int, list[sa.Row[Any]] | None]:
            counter = records.find_counter(connection, tenant)
            unchanged = seen is not None and seen.counter == counter
            return counter, None if unchanged else records.list_by_state(connection, tenant, "live")

        counter, rows = await self._database.read(look)
        if rows is None:
            assert seen is not None
            edition = seen.edition
        else:
            edition = Edition.of(self._files, {row.prompt_id: (row.version, row.body) for row in rows})
        known = self._seen.get(tenant)
        if known is None or known.counter <= counter:
            self._seen[tenant] = _Seen(edition, counter, now)
        return edition

    async def _get(self, tenant: TenantId, prompt_id: str, version: int) -> Version:
        for one in await self.versions(tenant, prompt_id):
            if one.version == version:
                return one
        raise errors.NotFound(f"{prompt_id} has no version {version}.", code="prompt_version_unknown")

    def _file(self, prompt_id: str) -> Source:
        return Edition(self._files, {}).get(prompt_id)


def _faults(edition: Edition, file: Source, body: str) -> list[Fault]:
    try:
        source = edited(file, 0, body)
    except Broken as error:
        return error.faults
    return edition.with_edit(source).faults(file.id)


def _inputs_only(example: Any) -> dict[str, Any]:
    return {name: value for name, value in example.items() if name != "language"}


def _version(row: sa.Row[Any]) -> Version:
    return Version(
        prompt_id=row.prompt_id,
        version=row.version,
        body=row.body,
        state=row.state,
        author=row.author,
        note=row.note,
        written_at=from_milliseconds(row.written_at),
        published_at=None if row.published_at is None else from_milliseconds(row.published_at),
    )


def _load_sound_files(folder: Path) -> dict[str, Source]:
    try:
        sources = load_files(folder)
    except errors.InvalidInput as error:
        raise errors.ConfigurationError(error.public_text) from error
    if found := faults_of(sources):
        raise errors.ConfigurationError("\n".join(found))
    return sources


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    parser = argparse.ArgumentParser(prog="python -m prompts.library")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--lock", action="store_true", help="write prompts.lock")
    action.add_argument("--check", action="store_true", help="check the files and prompts.lock")
    chosen = parser.parse_args(arguments)
    path = folder / "prompts.lock"
    try:
        current = lock.entries(_load_sound_files(folder))
        locked = lock.load(path)
    except (errors.ConfigurationError, errors.InvalidInput) as error:
        print(error, file=sys.stderr)
        return 1
    complaints = lock.unraised(current, locked) if chosen.lock else lock.differences(current, locked)
    print(*complaints, sep="\n", end="\n" if complaints else "", file=sys.stderr)
    if chosen.lock and not complaints:
        path.write_text(lock.written(current), encoding="utf-8")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
