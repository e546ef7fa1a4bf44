"""One connection to the IMAP server; the library blocks, so each call runs in a thread. The only file here that speaks IMAP.

Nothing is changed by looking: mails are fetched with PEEK, and marked as read only when asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import re
import socket
import ssl
from collections.abc import Callable
from datetime import datetime
from io import BufferedReader
from typing import TypeVar, cast

from imap_tools import BaseMailBox, MailBox, MailBoxStartTls, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError, MailboxLoginError
from imap_tools.utils import encode_folder

from channels.adapters.email.login import Login
from channels.adapters.email.settings import EmailSettings
from foundation import errors

TIMEOUT_SECONDS = 20.0
SLICE_SECONDS = 1.0
"""A thread that waits for news looks up so often, so that a service that stops does not wait for it."""
_DAY = "%d-%b-%Y"
_NUMBER = re.compile(rb"\d+")

T = TypeVar("T")

imaplib.Commands.setdefault("ID", ("NONAUTH", "AUTH", "SELECTED"))


class Incoming:
    """Open it, use it from one task, `drop` it. Every call raises `UpstreamUnavailable` for a server that is away;
    `open` also `UpstreamRefused`."""

    def __init__(self, settings: EmailSettings, login: Login) -> None:
        self._settings = settings
        self._login = login
        self._box: BaseMailBox | None = None
        self._dropped = False
        self.validity = 0
        self.next_uid = 1

    async def open(self) -> None:
        secret = await self._login.secret()
        try:
            await self._in_thread(lambda: self._connect(secret))
        except errors.UpstreamRefused as error:
            if error.code != "email_credentials" or not self._login.uses_token:
                raise
            renewed = await self._login.secret(refused=secret)
            await self._in_thread(lambda: self._connect(renewed))

    def drop(self) -> None:
        """At once, also while a thread waits on it."""
        self._dropped = True
        self._hang_up()

    async def newer(self, uid: int) -> list[int]:
        """UIDs above this one, ascending."""
        found = await self._in_thread(lambda: self._search("UID", f"{uid + 1}:*"))
        return [one for one in found if one > uid]

    async def since(self, moment: datetime) -> list[int]:
        return await self._in_thread(lambda: self._search("SINCE", moment.strftime(_DAY)))

    async def fetch(self, uid: int, limit: int) -> bytes | None:
        """The first `limit` bytes of a mail; None when it is gone."""
        return await self._in_thread(lambda: self._fetch(uid, limit))

    async def mark_seen(self, uid: int) -> None:
        await self._in_thread(lambda: self._client.uid("STORE", str(uid), "+FLAGS.SILENT", "(\\Seen)"))

    async def wait(self, seconds: float) -> None:
        """Until the server tells of something, or the time is over."""
        if "IDLE" not in self._client.capabilities:
            await asyncio.sleep(seconds)
            return
        if await self._in_thread(self._start_idling):
            seconds = 0.0
        while seconds > 0:
            portion = min(SLICE_SECONDS, seconds)
            if await self._in_thread(lambda portion=portion: self._opened.idle.poll(portion)):  # type: ignore[misc]
                break
            seconds -= portion
        await self._in_thread(self._stop_idling)

    @property
    def _opened(self) -> BaseMailBox:
        if self._box is None:
            raise errors.UpstreamUnavailable("The mailbox is not open.", code="email_unreachable")
        return self._box

    @property
    def _client(self) -> imaplib.IMAP4:
        client: imaplib.IMAP4 = self._opened.client
        return client

    def _connect(self, secret: str) -> None:
        self._hang_up()
        self._box = self._dial()
        if self._dropped:
            self._hang_up()
        client = self._client
        if self._login.uses_token:
            self._opened.xoauth2(self._login.user, secret, initial_folder=None)
        else:
            self._opened.login(self._login.user, secret, initial_folder=None)
        client._get_capabilities()
        if "ID" in client.capabilities:
            client._simple_command("ID", '("name" "huiliu")')
        self._select()

    def _dial(self) -> BaseMailBox:
        host, port = self._settings.imap_host, self._settings.imap_port
        if self._settings.imap_security == "plain":
            return MailBoxUnencrypted(host, port, TIMEOUT_SECONDS)
        # Without a context of its own the library would take any certificate.
        verified = ssl.create_default_context()
        kind = MailBox if self._settings.imap_security == "tls" else MailBoxStartTls
        return kind(host, port, TIMEOUT_SECONDS, ssl_context=verified)

    def _hang_up(self) -> None:
        """The socket is ended first: closing its file waits for a thread that still reads from it."""
        box, self._box = self._box, None
        if box is not None:
            with contextlib.suppress(OSError, ValueError):
                box.client.sock.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError, ValueError, imaplib.IMAP4.error):
                box.client.shutdown()

    def _select(self) -> None:
        status, _ = self._client.select(encode_folder(self._settings.folder).decode("ascii"))
        if status != "OK":
            raise errors.UpstreamRefused("The mailbox has no such folder.", code="email_folder")
        self.validity = self._told("UIDVALIDITY")
        self.next_uid = self._told("UIDNEXT") or max(self._search("ALL"), default=0) + 1

    def _told(self, name: str) -> int:
        _, data = self._client.response(name)
        match = _NUMBER.search(data[0]) if data and isinstance(data[0], bytes) else None
        return int(match.group()) if match else 0

    def _search(self, *criteria: str) -> list[int]:
        status, data = self._client.uid("SEARCH", *criteria)
        if status != "OK":
            raise errors.UpstreamUnavailable("The mail server does not search.", code="email_unreadable")
        return sorted({int(one) for line in data if isinstance(line, bytes) for one in _NUMBER.findall(line)})

    def _fetch(self, uid: int, limit: int) -> bytes | None:
        status, data = self._client.uid("FETCH", str(uid), f"(BODY.PEEK[]<0.{limit}>)")
        if status != "OK":
            raise errors.UpstreamUnavailable("The mail server does not fetch.", code="email_unreadable")
        return next((one[1] for one in data if isinstance(one, tuple) and len(one) > 1), None)

    def _start_idling(self) -> bool:
        """True when the server told of something before it began to wait."""
        client, news = self._client, False
        tag = client._command("IDLE")
        self._opened.idle._idle_tag = tag
        while client._get_response():
            news = True
            if client.tagged_commands.get(tag):
                raise errors.UpstreamUnavailable("The mail server does not wait.", code="email_unreadable")
        return news or self._is_told()

    def _is_told(self) -> bool:
        """Something came together with the answer to IDLE: it lies in the file's buffer, where no look at the socket
        finds it."""
        client = self._client
        patience = client.sock.gettimeout()
        client.sock.settimeout(0)
        try:
            return bool(cast("BufferedReader", client.file).peek(1))
        except OSError:
            return False
        finally:
            client.sock.settimeout(patience)

    def _stop_idling(self) -> None:
        self._opened.idle.stop()  # type: ignore[no-untyped-call]

    async def _in_thread(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(call)
        except MailboxLoginError as error:
            raise errors.UpstreamRefused(
                "The mail server does not take our login.", code="email_credentials"
            ) from error
        except TimeoutError as error:
            raise errors.UpstreamUnavailable(
                "The mail server did not answer in time.", code="email_timeout"
            ) from error
        except imaplib.IMAP4.abort as error:
            raise errors.UpstreamUnavailable(
                "The mail server closed the connection.", code="email_unreachable"
            ) from error
        except imaplib.IMAP4.error as error:
            code = "email_credentials" if "AUTH" in str(error).upper() else "email_unreadable"
            kind = errors.UpstreamRefused if code == "email_credentials" else errors.UpstreamUnavailable
            raise kind("The mail server does not take what we say.", code=code) from error
        except (OSError, ImapToolsError, AttributeError) as error:
            raise errors.UpstreamUnavailable(
                "The mail server cannot be reached.", code="email_unreachable"
            ) from error
