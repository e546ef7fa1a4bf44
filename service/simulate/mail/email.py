"""Plays a mailbox and one customer who writes to it: texts in, delivered as mails; what the customer gets is said.

Behind `huiliu simulate email`. Both servers of the mailbox are played on the local ports that the settings name, IMAP with
the customer's mails and SMTP for the replies, with the credentials of the server: configured, or the demo's. A further text
is a reply to the last mail, with its history quoted as a client does it.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import hashlib
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from pydantic import BaseModel

from channels.adapters.email.settings import EmailSettings
from foundation.clock import utc_now
from service.simulate.contract import DONE, NOT_ANSWERED, NOT_POSSIBLE, Options, Say
from service.simulate.mail.mail_servers import ImapServer, Post, SmtpServer, serving
from service.simulate.stage import bind, next_shown

DOMAIN = "customers.invalid"
_LOCAL = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class Received:
    recipient: str
    mail: EmailMessage


async def play(texts: Sequence[str], options: Options, *, settings: BaseModel, say: Say) -> int:
    """Ends at the first text that is not answered."""
    assert isinstance(settings, EmailSettings)
    account = settings.or_demo(options.vault)
    hosts = {(account.imap_host, account.imap_security), (account.smtp_host, account.smtp_security)}
    if any(host not in _LOCAL or security != "plain" for host, security in hosts):
        say(
            f"The server reads {account.imap_host} and replies to {account.smtp_host}, where nobody can look on."
        )
        say("Leave the HUILIU_EMAIL_… settings empty for both, and start the server again.")
        return NOT_POSSIBLE
    inbox: asyncio.Queue[Received] = asyncio.Queue()
    post = Post(account.login, account.password.get_secret_value(), validity=_validity())
    smtp = SmtpServer(account.login, post.password, lambda _, to, raw: inbox.put_nowait(_received(to, raw)))
    async with AsyncExitStack() as stack:
        for handle, port in ((ImapServer(post).handle, account.imap_port), (smtp.handle, account.smtp_port)):
            try:
                listener = bind(port)
            except OSError:
                say(f"Port {port} is taken: another simulation is running. Wait for it, or stop it.")
                return NOT_POSSIBLE
            await stack.enter_async_context(serving(handle, listener))
        customer = Customer(account, options, post=post, inbox=inbox, say=say)
        for text in texts:
            result = await customer.write(text)
            if result != DONE:
                return result
    return DONE


class Customer:
    """`options.user` as a person with a mail program."""

    def __init__(
        self,
        account: EmailSettings,
        options: Options,
        *,
        post: Post,
        inbox: asyncio.Queue[Received],
        say: Say,
    ) -> None:
        self._account = account
        self._options = options
        self._post = post
        self._inbox = inbox
        self._say = say
        self.address = address_of(options.user)
        self._last: EmailMessage | None = None
        self._chain: list[str] = []

    async def write(self, text: str) -> int:
        self._say(f"{self._options.user} → {text}")
        raw = self.compose(text, utc_now())
        for _ in range(self._options.duplicate):
            await self._post.deliver(raw)
        if self._options.duplicate > 1:
            self._say(f"  lies {self._options.duplicate} times in the mailbox")
        return await self._look()

    def compose(self, text: str, now: datetime) -> bytes:
        """`forge`: the receiving server found that the sender is not who he says."""
        mail = EmailMessage(policy=email.policy.SMTP)
        verdict = "fail" if self._options.forge else "pass"
        mail["Authentication-Results"] = f"{self._account.authserv_id}; dmarc={verdict} header.from={DOMAIN}"
        mail["From"] = self.address
        mail["To"] = self._account.address
        mail["Date"] = format_datetime(now)
        message_id = f"<{hashlib.sha256(f'{now.timestamp()} {text}'.encode()).hexdigest()[:24]}@{DOMAIN}>"
        mail["Message-ID"] = message_id
        if self._last is not None:
            mail["Subject"] = str(self._last["Subject"])
            mail["In-Reply-To"] = self._chain[-1]
            mail["References"] = " ".join(self._chain)
            text += f"\n\n{self._account.address} 于{_day(now)}写道：\n\n{_quoted(self._last)}"
        self._chain.append(message_id)
        mail.set_content(text, charset="utf-8", cte="base64")
        return mail.as_bytes()

    def keep(self, mail: EmailMessage) -> None:
        """The next text replies to this one."""
        self._last = mail
        self._chain.append(str(mail["Message-ID"]))

    async def _look(self) -> int:
        """Waits for the first reply, then until nothing more comes."""
        count, patience = 0, self._options.wait_seconds
        while (received := await next_shown(self._inbox, patience)) is not None:
            if received.recipient != self.address:
                self._say("  (a reply to another customer)")
                continue
            self.keep(received.mail)
            self._say(f"  ← [{received.mail['Subject']}] {text_of(received.mail)}")
            count, patience = count + 1, self._options.quiet_seconds
        if not count:
            self._say(
                f"  No reply within {patience:.0f} s. Is the server running, with the channel email open, and a"
            )
            self._say(
                "  worker free? A conversation that a person holds gets no reply from the bot: take another --user."
            )
        return DONE if count else NOT_ANSWERED


def address_of(user: str) -> str:
    """The same for the same user; names that are no part of an address become digits."""
    if re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,40}", user):
        return f"{user}@{DOMAIN}"
    return f"u{hashlib.sha256(user.encode()).hexdigest()[:12]}@{DOMAIN}"


def text_of(mail: EmailMessage) -> str:
    found = mail.get_body(("plain",))
    return "" if found is None else str(found.get_content()).replace("\r\n", "\n").strip()


def _received(recipient: str, raw: bytes) -> Received:
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    return Received(recipient, mail)


def _validity() -> int:
    """Another for every simulation: their UIDs all begin with 1."""
    return int(utc_now().timestamp() * 10) % 2**31 + 1


def _quoted(mail: EmailMessage) -> str:
    return "\n".join(f"> {line}" for line in text_of(mail).split("\n"))


def _day(now: datetime) -> str:
    moment = now.astimezone(UTC)
    return f"{moment.year}年{moment.month}月{moment.day}日 {moment:%H:%M}"
