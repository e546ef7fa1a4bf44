"""`huiliu knowledge …`: works on the installation's own database, or through the running server when that owns it.

The embedded database belongs to one process. When a server holds it, the work goes there over HTTP with the operator's
pass; the words on the terminal are the same.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import typer
from rich.console import Console as Terminal
from rich.table import Table

from foundation import errors
from foundation.settings import Settings
from service.remotely.client import call, open_client


async def import_folder(settings: Settings, path: Path, *, publish: bool) -> int:
    """Exit code 1 when a file could not be read as an article."""
    body = {"name": path.name or "import", "files": _read_files(path), "publish": publish}
    async with open_client(settings) as client:
        answer = await call(client, "POST", "/v1/knowledge/import", body)
    counts = ", ".join(f"{name} {answer[name]}" for name in ("new", "changed", "unchanged", "removed"))
    typer.echo(f"{counts}, problems {len(answer['problems'])}")
    for problem in answer["problems"]:
        typer.echo(f"✗ {problem}", err=True)
    return 1 if answer["problems"] else 0


async def publish(settings: Settings, article: str, language: str) -> None:
    async with open_client(settings) as client:
        answer = await call(client, "POST", f"/v1/knowledge/articles/{language}/{article}/publish", {})
    typer.echo(f"{article} ({language}) version {answer['version']} is published.")


async def search(settings: Settings, text: str, language: str, *, as_json: bool) -> None:
    async with open_client(settings) as client:
        answer = await call(client, "GET", "/v1/knowledge/search", params={"q": text, "language": language})
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False))
        return
    table = Table(title=f"answerable {answer['answerable']:.2f}")
    for name in ("score", "article", "title", "answer"):
        table.add_column(name)
    for hit in answer["passages"]:
        table.add_row(f"{hit['score']:.3f}", hit["article"], hit["title"], hit["answer"][:120])
    Terminal().print(table)


def _read_files(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        raise errors.NotFound(f"There is no file or folder {path}.")
    root = path if path.is_dir() else path.parent
    found = sorted(path.rglob("*.md")) if path.is_dir() else [path]
    if not found:
        raise errors.NotFound(f"The folder {path} holds no Markdown files (*.md).")
    return [
        {"path": file.relative_to(root).as_posix(), "base64": base64.b64encode(file.read_bytes()).decode()}
        for file in found
    ]
