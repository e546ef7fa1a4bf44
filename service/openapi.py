"""The OpenAPI document of the running application, made from its own table of routes so that it cannot lag behind.

`http.application` serves it at /openapi.json and as a page at /docs. Addresses, methods and what stands in the address are
exact; bodies are JSON whose fields each part checks itself, and a wrong one is answered with the name of the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.routing import Route

from channels.endpoints import OwnRoutes

PREFIX = "/v1"
STAFF = (
    "desk",
    "knowledge",
    "prompts",
    "channels",
    "webhooks",
    "identities",
    "reviews",
    "matching",
    "privacy",
    "keys",
    "customer-imports",
    "data-quality",
)
"""Parts of the API that ask who of the staff is calling."""
WITH_BODY = ("POST", "PUT")
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}


def document(app: FastAPI) -> dict[str, Any]:
    """Made once; routes do not change while the application runs."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, routes=app.routes)
        components = made.setdefault("components", {})
        components.setdefault("schemas", {})["Error"] = _ERROR
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        for path, method, operation in _operations(app):
            made["paths"].setdefault(path, {}).setdefault(method.lower(), operation)
        app.openapi_schema = made
    return app.openapi_schema


def _operations(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    listed = [
        one for route in app.routes for one in (route.routes if isinstance(route, OwnRoutes) else [route])
    ]
    for route in listed:
        if isinstance(route, Route) and not isinstance(route, APIRoute) and route.path.startswith(PREFIX):
            for method in sorted((route.methods or set()) - {"HEAD", "OPTIONS"}):
                yield _PARAMETER.sub(r"{\1}", route.path), method, _operation(route.path, method)


def _operation(path: str, method: str) -> dict[str, Any]:
    part = path.removeprefix(PREFIX).split("/")[1]
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    described: dict[str, Any] = {
        "tags": [part],
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{path}").rstrip("_"),
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in _PARAMETER.findall(path)
        ],
        "responses": {
            "2XX": {"description": "Done."},
            "default": {"description": "A code and a sentence that says what to do.", "content": error},
        },
    }
    if method in WITH_BODY:
        described["requestBody"] = {"content": {"application/json": {"schema": {}}}}
    if part in STAFF:
        described["security"] = [{"bearer": []}]
    return described
