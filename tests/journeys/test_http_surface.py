"""Hostile and accidental requests at every address of the real server: an answer that says what is wrong, never a 500.

schemathesis drives what the application's own OpenAPI document lists, with the forms of the bodies and with ids that exist, as
a stranger, a visitor and the operator; a fuzz of our own calls the hooks of all platforms with anything. Derandomised: the
same requests in every run.
"""

from __future__ import annotations

import copy
import socket
import string
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from pydantic import BaseModel

from channels.adapters.web_chat.sessions import SessionForm
from channels.families.live_chat import codec
from channels.registry import CHANNELS
from foundation import settings as configuration
from foundation.clock import utc_now
from foundation.security import Vault
from retrieval.index_memory import MemoryIndex
from service import http, keys, wiring
from service.operator import make_pass
from service.routes import staff_forms
from service.routes.channels import AccountForm
from service.routes.people import privacy
from service.routes.people.verifications import Answered, Wanted
from service.simulate.stage import bind
from tests.journeys.conftest import VECTORS, few_articles

EXAMPLES = 3
"""Of each operation."""
HOOK_EXAMPLES = 120
CALM = settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)  # fmt: skip
BODIES: dict[str, type[BaseModel]] = {
    "POST /v1/widget/sessions": SessionForm,
    "POST /v1/conversations/{conversation_id}/messages": codec.SendForm,
    "POST /v1/conversations/{conversation_id}/read": codec.SeqForm,
    "POST /v1/conversations/{conversation_id}/stop": codec.StopForm,
    "POST /v1/verifications": Wanted,
    "POST /v1/verifications/{id}/check": Answered,
    "POST /v1/staff/login": staff_forms.LogIn,
    "POST /v1/desk/conversations/{id}/reply": staff_forms.Say,
    "POST /v1/desk/conversations/{id}/note": staff_forms.Say,
    "POST /v1/desk/approvals/{id}": staff_forms.Decide,
    "POST /v1/customers/{id}/erasures": privacy.Asked,
    "POST /v1/knowledge/import": staff_forms.Import,
    "POST /v1/knowledge/preview": staff_forms.Preview,
    "PUT /v1/knowledge/articles/{language}/{id}": staff_forms.Article,
    "POST /v1/knowledge/articles/{language}/{id}/publish": staff_forms.Version,
    "POST /v1/knowledge/articles/{language}/{id}/rollback": staff_forms.Version,
    "PUT /v1/prompts/{id}": staff_forms.PromptText,
    "POST /v1/prompts/{id}/publish": staff_forms.Version,
    "POST /v1/prompts/{id}/rollback": staff_forms.Version,
    "PUT /v1/channels/{channel}/accounts/{account}": AccountForm,
}
NEVER_ENDS = "/stream"
"""Of a conversation that exists: it is called with ids that do not."""


@dataclass
class Surface:
    url: str
    document: dict[str, Any]
    passes: tuple[dict[str, str], ...]
    ids: dict[str, list[str]] = field(default_factory=dict)

    def enriched(self) -> dict[str, Any]:
        """The document with the forms of the bodies, and with values that exist beside any others."""
        found = copy.deepcopy(self.document)
        for path, operations in found["paths"].items():
            for method, operation in operations.items():
                form = BODIES.get(f"{method.upper()} {path}")
                if form is not None:
                    made = form.model_json_schema(ref_template="#/components/schemas/{model}")
                    found["components"]["schemas"] |= made.pop("$defs", {})
                    operation["requestBody"]["content"]["application/json"]["schema"] = made
                for parameter in operation.get("parameters", ()):
                    known = self.ids.get(parameter["name"], [])
                    if known and not path.endswith(NEVER_ENDS):
                        parameter["schema"] = {"anyOf": [{"enum": known}, parameter["schema"]]}
        return found


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surface]:
    """A server in a thread of its own, as it runs in a process of its own; every channel is open."""
    folder, listener = tmp_path_factory.mktemp("surface"), bind(0)
    port = int(listener.getsockname()[1])
    VECTORS.parent.mkdir(exist_ok=True)
    chosen = configuration.load(
        data_dir=folder / "var", articles=few_articles(folder / "articles"), port=port
    )
    system = wiring.build(chosen, index=MemoryIndex(), vectors=VECTORS)
    with serving(http.application(system, fetch=False), listener):
        token = make_pass(Vault(keys.master_key(chosen)), system.tenants[0], utc_now)
        yield _looked_at(f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {token}"})


def _looked_at(url: str, operator: dict[str, str]) -> Surface:
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        started = client.post("/v1/widget/sessions", json={"keep": "storage"}, headers={"origin": url}).json()
        visitor = {"Authorization": f"Bearer {started['visitor_token']}"}
        conversation = started["conversation_id"]
        said = {"client_msg_id": "6b1f0a4e-6f0e-4b7e-9c55-0a6a5c6d7e8f", "text": "运费多少钱"}
        client.post(
            f"/v1/conversations/{conversation}/messages", json=said, headers=visitor
        ).raise_for_status()
        document = client.get("/openapi.json").raise_for_status().json()
    ids = {
        "conversation_id": [conversation], "id": [conversation, "delivery-fees", "replies/goodbye"],
        "channel": [spec.name for spec in CHANNELS], "language": ["zh", "en"], "tenant": ["demo"],
        "account": ["main", "shop-2"],
    }  # fmt: skip
    return Surface(url, document, ({}, visitor, operator, {"Authorization": "Bearer é\x7f"}), ids)


class serving:  # noqa: N801  # reads as a verb
    def __init__(self, app: Any, listener: socket.socket) -> None:
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.05)
            assert self._thread.is_alive(), "the server did not start"

    def __exit__(self, *_error: object) -> None:
        self._server.should_exit = True
        self._thread.join(30)


def test_document_lists_every_route_of_the_api(surface: Surface) -> None:
    paths = surface.document["paths"]
    for path in (
        "/health",
        "/v1/hooks/{tenant}/{channel}",
        "/v1/desk/conversations/{id}/take",
        "/v1/sign-in",
    ):
        assert path in paths
    assert {"get", "put"} <= set(paths["/v1/knowledge/articles/{language}/{id}"])
    assert set(BODIES) <= {f"{method.upper()} {path}" for path, found in paths.items() for method in found}


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_no_operation_answers_with_a_fault_of_ours(surface: Surface) -> None:
    schema = schemathesis.openapi.from_dict(surface.enriched())
    count = 0
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]  # ours is well formed, or this raises
        count += 1
        for mode in _modes(operation.definition.raw):

            @CALM
            @given(operation.as_strategy(generation_mode=mode), st.sampled_from(surface.passes))
            def call(case: Any, headers: dict[str, str]) -> None:
                answer = case.call(base_url=surface.url, headers=_sendable(headers), timeout=30)
                said = (
                    f"{case.method} {case.path} {case.body!r:.300} → {answer.status_code} {answer.text[:300]}"
                )
                assert answer.status_code < 500, said
                if answer.status_code >= 400 and "json" in answer.headers.get("content-type", [""])[0]:
                    assert answer.json()["error"]["message"], said

            try:
                call()
            except Unsatisfiable:
                assert mode is schemathesis.GenerationMode.NEGATIVE, (
                    operation.label
                )  # nothing of it can be wrong
    assert count >= len(surface.document["paths"])


def _modes(operation: dict[str, Any]) -> tuple[schemathesis.GenerationMode, ...]:
    """Where any text and any body is well formed nothing can be drawn that is not: looking for it is the slowest of all."""
    bodies = operation.get("requestBody", {}).get("content", {}).values()
    schemas = [one.get("schema", {}) for one in (*operation.get("parameters", ()), *bodies)]
    told = [{name: value for name, value in schema.items() if name != "title"} for schema in schemas]
    both = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    return both if any(one not in ({}, {"type": "string"}) for one in told) else both[:1]


def _sendable(headers: dict[str, str]) -> dict[str, Any]:
    return {name: value.encode("latin-1") for name, value in headers.items()}


NAMES = (
    "x-hub-signature-256", "x-line-signature", "x-slack-signature", "x-slack-request-timestamp", "x-twilio-signature",
    "authorization", "signature", "signaturecertchainurl", "signature-256", "signaturecerturl", "timestamp", "sign",
    "webhook-id", "webhook-timestamp", "webhook-signature", "x-telegram-bot-api-secret-token", "jambonz-signature",
    "x-lark-signature", "content-type", "content-md5", "x-xiaomi-date", "content-encoding", "x-douyin-signature",
)  # fmt: skip
VALUE = st.one_of(
    st.text(string.printable.strip(), max_size=40), st.sampled_from(("0" * 64, "v0=", "t=1,v1=x", "1764061200", "nan")),
    st.binary(max_size=20).map(lambda raw: raw.translate(None, b"\r\n\0").strip().decode("latin-1")),
)  # fmt: skip
BODY = st.one_of(
    st.binary(max_size=200),
    st.sampled_from((
        b"", b"{}", b"[]", b"null", b"{" * 500, b"<xml>", b"<xml><Encrypt>x</Encrypt></xml>", b"a=1&a=2&%ff=%",
        b'{"challenge": "x", "type": "url_verification"}', b'{"encrypt": "AAAA"}', b"\xff\xfe{", b'{"a":' + b"9" * 400,
        b'<!DOCTYPE x [<!ENTITY y "z">]><xml>&y;</xml>', b'{"Body": "\\ud800"}',
    )),
)  # fmt: skip


def test_hooks_bear_anything_that_anybody_sends(surface: Surface) -> None:
    with httpx.Client(base_url=surface.url, trust_env=False, timeout=30) as client:

        @settings(CALM, max_examples=HOOK_EXAMPLES)
        @given(
            channel=st.sampled_from([spec.name for spec in CHANNELS] + ["nobody"]),
            tail=st.sampled_from(("", "/main", "/shop-2", "/%00", "/..%2f", "/签")),
            method=st.sampled_from(("GET", "POST", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")),
            query=st.dictionaries(
                st.sampled_from(("signature", "msg_signature", "timestamp", "nonce", "echostr", "hub.challenge", "hub.mode",
                                 "hub.verify_token", "encrypt_type", "step", "turn", "challenge", "sign", "openid")),
                st.text(max_size=30).map(lambda text: text.encode("utf-8", "replace").decode()), max_size=5,
            ),
            headers=st.dictionaries(st.sampled_from(NAMES), VALUE, max_size=4),
            body=BODY,
        )  # fmt: skip
        def call(
            channel: str, tail: str, method: str, query: dict[str, str], headers: dict[str, str], body: bytes
        ) -> None:
            answer = client.request(
                method, f"/v1/hooks/demo/{channel}{tail}", params=query, content=body,
                headers={name.encode(): value.encode("latin-1", "replace") for name, value in headers.items()},
            )  # fmt: skip
            assert answer.status_code < 500, answer.text
            if method == "POST" and channel != "nobody":
                assert not answer.is_success, "unsigned, and accepted"

        call()


def test_visitors_socket_and_files_bear_wrong_addresses(surface: Surface) -> None:
    with httpx.Client(base_url=surface.url, trust_env=False, timeout=30) as client:
        for path in ("/v1/uploads/%00", "/v1/uploads/" + "x" * 3000, "/site/../../etc/passwd", "/site/%2e%2e/%00",
                     "/v1/widget/socket", "/t/demo/v1/conversations/%F0%9F%98%80/messages", "/chat/..%5c", "/console/%00"):  # fmt: skip
            for method in ("GET", "POST"):
                assert client.request(method, path).status_code < 500, path
