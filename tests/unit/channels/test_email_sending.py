"""Replies as mails: their form, their thread, and what a mail server may answer; against real servers on this machine."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
import structlog
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import SecretStr, ValidationError

from channels import degrade
from channels.adapters import email as adapter
from channels.adapters.email import compose
from channels.adapters.email.channel import EmailChannel
from channels.adapters.email.incoming import Incoming
from channels.adapters.email.login import Login
from channels.adapters.email.outgoing import Outgoing
from channels.adapters.email.settings import EmailSettings, demo_settings
from channels.contract import Part, Surroundings
from channels.platforms.api import Api
from foundation import errors
from foundation.live import Hub
from foundation.messages import (
    Choice,
    Citation,
    ConversationId,
    MessageId,
    OutboundMessage,
    Reply,
    Role,
    TenantId,
)
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate.mail.mail_servers import ImapServer, Post, SmtpServer, serving
from tests.conftest import StandingClock
from tests.unit.channels.email_house import ADDRESS, BOX, NOW, mail, read

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
PASSWORD = "right"


@pytest.fixture
def surroundings(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)


def settings(port: int, **changes: Any) -> EmailSettings:
    given = EmailSettings(
        address=ADDRESS, password=SecretStr(PASSWORD), imap_host="127.0.0.1", imap_port=1, imap_security="plain",
        smtp_host="127.0.0.1", smtp_port=port, smtp_security="plain", display_name="客服, Shop", signature="您的店铺\nshop.example",
    )  # fmt: skip
    return given.model_copy(update=changes)


def part(
    reply: Reply,
    *,
    context: dict[str, str] | None = None,
    role: Role = "bot",
    recipient: str = "li@example.org",
) -> Part:
    message = OutboundMessage(
        tenant=TenantId("demo"), channel="email", account="main", conversation_id=ConversationId("c1"),
        message_id=MessageId("m1"), recipient=recipient, role=role, reply=reply, reply_context=context or {},
    )  # fmt: skip
    (only,) = degrade.fit(message, adapter.channel.CAPABILITIES)
    return only


def rendered(reply: Reply, **given: Any) -> EmailMessage:
    _, raw = compose.render(
        part(reply, **given), BOX, idempotency_key="c1/2/0", now=NOW, name="客服, Shop", signature="bye"
    )
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def words(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n").strip()


class Handler:
    def __init__(self) -> None:
        self.taken: list[Envelope] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.taken.append(envelope)
        return "250 taken"


def authenticate(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: LoginPassword
) -> AuthResult:
    right = given == LoginPassword(ADDRESS.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=right)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def sink() -> Iterator[tuple[Handler, int]]:
    """A mail server that is not ours: aiosmtpd, which wants a login."""
    handler, port = Handler(), free_port()
    controller = Controller(
        handler,
        hostname="127.0.0.1",
        port=port,
        authenticator=authenticate,
        auth_required=True,
        auth_require_tls=False,
    )
    controller.start()
    try:
        yield handler, port
    finally:
        controller.stop()


async def test_reply_is_taken_by_a_mail_server(surroundings: Surroundings) -> None:
    with sink() as (handler, port):
        channel = EmailChannel(settings(port), surroundings)
        context = read(mail()).reply_context
        first = await channel.send(
            part(Reply(text="已发货 \U0001f4e6"), context=context), idempotency_key="c1/1/0"
        )
        again = await channel.send(
            part(Reply(text="已发货 \U0001f4e6"), context=context), idempotency_key="c1/1/0"
        )
        other = await channel.send(part(Reply(text="还有吗"), context=context), idempotency_key="c1/2/0")
        await channel.close()
    (envelope, repeated, _) = handler.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == (ADDRESS, ["li@example.org"])
    assert envelope.content == repeated.content
    assert first == again != other
    content = envelope.content
    assert isinstance(content, bytes)
    got = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(got, EmailMessage)
    assert got["Message-ID"] == f"<{first}>"
    assert words(got, "plain") == "已发货 \U0001f4e6\n\n-- \n您的店铺\nshop.example"


async def test_wrong_password_is_refused_by_name(surroundings: Surroundings) -> None:
    with sink() as (handler, port):
        channel = EmailChannel(settings(port, password=SecretStr("wrong")), surroundings)
        with pytest.raises(errors.UpstreamRefused) as refused:
            await channel.send(part(Reply(text="x")), idempotency_key="k")
        await channel.close()
    assert refused.value.code == "email_credentials"
    assert handler.taken == []


def test_reply_stands_in_the_thread_of_the_mail_it_answers() -> None:
    inbound = read(mail(Subject="回复: Re: 订单", References="<r0@x> <r1@x>", Message_ID="<m@x>"))
    got = rendered(Reply(text="好的"), context=inbound.reply_context)
    assert got["Subject"] == "Re: 订单"
    assert got["In-Reply-To"] == "<m@x>"
    assert got["References"] == "<r0@x> <r1@x> <m@x>"
    assert str(got["From"]) == f'"客服, Shop" <{ADDRESS}>'
    answer = read(mail(Message_ID="<m2@x>", In_Reply_To=got["Message-ID"]))
    assert answer.thread == inbound.thread
    assert answer.reply_context["references"].split()[-1] == "m2@x"


def test_long_chain_keeps_its_root_and_its_end() -> None:
    chain = " ".join(f"<r{number}@x>" for number in range(60))
    got = rendered(Reply(text="x"), context=read(mail(References=chain)).reply_context)
    ids = got["References"].split()
    assert (ids[0], ids[-1], len(ids)) == ("<r0@x>", "<a1@example.org>", 20)


def test_machines_are_told_not_to_answer_the_bot_and_people_may_answer_people() -> None:
    context = read(mail()).reply_context
    bot, agent = (rendered(Reply(text="x"), context=context, role=role) for role in ("bot", "agent"))
    assert (bot["Auto-Submitted"], bot["X-Auto-Response-Suppress"]) == ("auto-replied", "All")
    assert (agent["Auto-Submitted"], agent["X-Auto-Response-Suppress"]) == (None, None)
    assert bot["X-Loop"] == agent["X-Loop"] == BOX.loop_token
    assert not [name for name in bot if name.lower().startswith("list-")]


def test_choices_are_numbered_and_sources_stand_at_the_end() -> None:
    reply = Reply(
        text="**可以退**，见 [说明](https://shop.example/r?a=1&b=2)。\n\n- 七天\n- <b>包邮</b>\n\nhttps://shop.example/x.",
        choices=(Choice(label="退货", value="r"), Choice(label="换货", value="e")),
        citations=(Citation(article="returns", title="退货流程", version=1, quote="七天"),),
    )
    got = rendered(reply)
    plain, page = words(got, "plain"), words(got, "html")
    assert plain.startswith("可以退，见 说明 (https://shop.example/r?a=1&b=2)。\n\n• 七天")
    assert (
        plain.index("1. 退货")
        < plain.index("2. 换货")
        < plain.index("《退货流程》")
        < plain.index("-- \nbye")
    )
    assert '<strong>可以退</strong>，见 <a href="https://shop.example/r?a=1&amp;b=2">说明</a>。' in page
    assert "• &lt;b&gt;包邮&lt;/b&gt;" in page
    assert '<a href="https://shop.example/x">https://shop.example/x</a>.' in page
    assert page.index("2. 换货") < page.index("《退货流程》") < page.index("bye")
    assert [one.get_content_type() for one in got.iter_parts()] == ["text/plain", "text/html"]


def test_new_mail_has_a_subject_in_its_language() -> None:
    assert rendered(Reply(text="x"))["Subject"] == "您的咨询"
    assert rendered(Reply(text="x", language="en"))["Subject"] == "Your message to us"


@pytest.mark.parametrize(
    "hostile", ["a\r\nBcc: eve@evil.example", "a\nX: y", "a\u2028b", "=?utf-8?B?DQpCY2M6IGE=?="]
)
def test_nothing_enters_the_headers_when_a_context_is_hostile(hostile: str) -> None:
    names = ("subject", "in_reply_to", "references", "root", "thread")
    context = {**dict.fromkeys(names, hostile), "root": "a" * 24, "thread": "b" * 32}
    got = rendered(Reply(text="x"), context=context)
    assert got["Bcc"] is None
    assert got["X"] is None


@pytest.mark.parametrize("recipient", ["", "a b@x", "a@x\r\nRCPT TO:<b@x>", "<a@x>", "a@x,b@x"])
def test_what_is_no_address_is_refused(recipient: str) -> None:
    with pytest.raises(errors.UpstreamRefused):
        rendered(Reply(text="x"), recipient=recipient)


async def test_empty_text_is_not_sent(surroundings: Surroundings) -> None:
    channel = EmailChannel(settings(1), surroundings)
    with pytest.raises(errors.UnsupportedContent):
        await channel.send(part(Reply(text=" ")), idempotency_key="k")
    await channel.close()


@asynccontextmanager
async def planned(
    surroundings: Surroundings, **answers: str
) -> AsyncIterator[tuple[EmailChannel, list[bytes]]]:
    taken: list[bytes] = []
    server = SmtpServer(
        ADDRESS,
        PASSWORD,
        lambda _from, _to, raw: taken.append(raw),
        {name: [one] for name, one in answers.items()},
    )
    async with serving(server.handle) as port:
        channel = EmailChannel(settings(port), surroundings)
        yield channel, taken
        await channel.close()


@pytest.mark.parametrize(
    ("command", "answer", "kind", "code"),
    [
        ("RCPT", "550 5.1.1 li@example.org unknown", errors.UpstreamRefused, "email_smtp_550"),
        ("RCPT", "450 4.2.1 try later", errors.UpstreamUnavailable, "email_smtp_450"),
        ("RCPT", "452 4.5.3 too many recipients", errors.Exhausted, "email_smtp_452"),
        ("MAIL", "421 4.7.0 rate limited", errors.Exhausted, "email_smtp_421"),
        ("MAIL", "552 too large", errors.UpstreamRefused, "email_smtp_552"),
        ("DATA", "451 4.3.0 local", errors.UpstreamUnavailable, "email_smtp_451"),
        ("DATA", "554 5.7.1 spam", errors.UpstreamRefused, "email_smtp_554"),
        ("AUTH", "535 5.7.8 wrong", errors.UpstreamRefused, "email_credentials"),
        ("AUTH", "454 4.7.0 later", errors.Exhausted, "email_smtp_454"),
        ("EHLO", "hang up", errors.UpstreamUnavailable, "email_unreachable"),
        ("DATA", "hang up", errors.UpstreamUnavailable, "email_unreachable"),
    ],
)  # fmt: skip
async def test_refusal_of_the_server_becomes_the_error_that_says_what_to_do(
    surroundings: Surroundings, command: str, answer: str, kind: type[errors.ServiceError], code: str
) -> None:
    async with planned(surroundings, **{command: answer}) as (channel, taken):
        with structlog.testing.capture_logs() as lines:
            with pytest.raises(errors.ServiceError) as refused:
                await channel.send(part(Reply(text="x")), idempotency_key="k")
            await channel.send(part(Reply(text="x")), idempotency_key="k")
    assert (type(refused.value), refused.value.code) == (kind, code)
    assert len(taken) == 1
    assert "li@example.org" not in refused.value.public_text + repr(lines)


async def test_server_that_is_away_is_said_once_and_its_return_once(surroundings: Surroundings) -> None:
    channel = EmailChannel(settings(free_port()), surroundings)
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(errors.UpstreamUnavailable):
                await channel.send(part(Reply(text="x")), idempotency_key="k")
    await channel.close()
    assert [line["event"] for line in lines] == ["channel cannot send"]


async def test_time_out_is_temporary(surroundings: Surroundings) -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port:
        chosen = settings(port)
        outgoing = Outgoing(chosen, Login(chosen, surroundings), timeout_seconds=0.05)
        with pytest.raises(errors.UpstreamUnavailable) as refused:
            await outgoing.send("li@example.org", mail())
    assert refused.value.code == "email_timeout"


async def test_token_is_renewed_once_when_a_server_refuses_it(surroundings: Surroundings) -> None:
    granted: list[str] = []

    def grant(request: httpx.Request) -> httpx.Response:
        assert b"grant_type=refresh_token" in request.content
        granted.append(f"token-{len(granted) + 1}")
        return httpx.Response(200, json={"access_token": granted[-1], "expires_in": 3600})

    post = Post(ADDRESS, "")
    server = ImapServer(post, token="token-2")
    async with serving(server.handle) as port:
        chosen = settings(
            1, imap_port=port, password=SecretStr(""), oauth_token_url="https://login.example/token", oauth_client_id="c",
            oauth_refresh_token=SecretStr("r"),
        )  # fmt: skip
        api = Api("email", "The mail provider", chosen.oauth_token_url, transport=httpx.MockTransport(grant))
        login = Login(chosen, surroundings, api=api)
        incoming = Incoming(chosen, login)
        try:
            await incoming.open()
        finally:
            incoming.drop()
        await login.close()
    assert granted == ["token-1", "token-2"]
    assert incoming.validity == 1


@pytest.mark.parametrize(
    "given",
    [
        {"address": "care@shop.example"}, {"imap_host": "x"}, {"password": "x"},
        {"address": "nobody", "imap_host": "x", "smtp_host": "x", "password": "x"},
        {"address": "a@x.example", "imap_host": "x", "smtp_host": "x", "password": "x", "smtp_security": "plain"},
        {"address": "a@x.example", "imap_host": "x", "smtp_host": "x", "oauth_refresh_token": "x"},
    ],
)  # fmt: skip
def test_half_of_the_settings_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        EmailSettings.model_validate(given)


def test_demo_stands_on_this_machine_and_takes_what_is_set(vault: Vault) -> None:
    demo = EmailSettings(display_name="Demo", poll_seconds=9).or_demo(vault)
    assert (demo.imap_host, demo.smtp_host, demo.display_name, demo.poll_seconds) == (
        "127.0.0.1",
        "127.0.0.1",
        "Demo",
        9,
    )
    assert demo.password == demo_settings(vault).password
    assert len(demo.password.get_secret_value()) == 32


def test_every_setting_is_described() -> None:
    assert all(field.description for field in EmailSettings.model_fields.values())
