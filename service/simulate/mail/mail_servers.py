"""Mail servers of one mailbox on this machine: the part of IMAP and SMTP that clients need to read it and to send.

The simulator of e-mail plays them, and tests break them. Real sockets, a login, UIDs with their validity, IDLE; SMTP with
AUTH, and answers that can be planned.
"""

from __future__ import annotations

import asyncio
import base64
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

LINE_LIMIT = 1_048_576
SIZE_LIMIT = 36_700_160
_PARTIAL = re.compile(r"BODY\.PEEK\[\]<0\.(\d+)>", re.IGNORECASE)


@dataclass
class Post:
    """What lies in the mailbox."""

    user: str
    password: str
    validity: int = 1
    mails: dict[int, bytes] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    next_uid: int = 1
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def deliver(self, raw: bytes) -> int:
        async with self.arrived:
            uid = self.next_uid
            self.mails[uid] = raw
            self.next_uid += 1
            self.arrived.notify_all()
        return uid

    def renew(self) -> None:
        """The mailbox is made anew, as after a restored backup: the same mails under other UIDs."""
        kept = list(self.mails.values())
        self.validity += 1
        self.seen.clear()
        self.mails = {number: raw for number, raw in enumerate(kept, 1)}
        self.next_uid = len(kept) + 1


@dataclass
class ImapServer:
    """`capabilities` may lack IDLE; `hang_ups` connections are closed instead of greeted; `token`: XOAUTH2's."""

    post: Post
    capabilities: tuple[str, ...] = ("IMAP4rev1", "IDLE", "ID", "AUTH=XOAUTH2")
    hang_ups: int = 0
    token: str = ""
    connections: int = 0
    heard: list[str] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.hang_ups:
            self.hang_ups -= 1
            return
        talk = _ImapTalk(self, reader, writer)
        await talk.run()


class _ImapTalk:
    def __init__(
        self, server: ImapServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._post = server.post
        self._reader = reader
        self._writer = writer
        self._in = False
        self._selected = False
        self._told = 0
        self._commands: dict[str, Callable[[str, str], Awaitable[str]]] = {
            "CAPABILITY": self._capability, "LOGIN": self._login, "AUTHENTICATE": self._authenticate, "ID": self._id,
            "SELECT": self._select, "UID": self._uid, "IDLE": self._idle, "NOOP": self._noop,
        }  # fmt: skip

    async def run(self) -> None:
        await self._say("* OK ready")
        while line := await self._line():
            tag, _, rest = line.partition(" ")
            name, _, arguments = rest.partition(" ")
            self._server.heard.append(name.upper() if name.upper() != "UID" else rest)
            if name.upper() == "LOGOUT":
                await self._say("* BYE bye", f"{tag} OK bye")
                return
            command = self._commands.get(name.upper())
            await self._say(f"{tag} {await command(tag, arguments) if command else 'BAD unknown'}")

    async def _line(self) -> str:
        return (await self._reader.readline()).decode("utf-8", "replace").rstrip("\r\n")

    async def _say(self, *lines: str | bytes) -> None:
        for line in lines:
            self._writer.write((line.encode() if isinstance(line, str) else line) + b"\r\n")
        await self._writer.drain()

    async def _capability(self, _tag: str, _arguments: str) -> str:
        await self._say(f"* CAPABILITY {' '.join(self._server.capabilities)}")
        return "OK done"

    async def _login(self, _tag: str, arguments: str) -> str:
        given = tuple(re.sub(r"\\(.)", r"\1", word) for word in re.findall(r'"((?:\\.|[^"\\])*)"', arguments))
        self._in = given == (self._post.user, self._post.password)
        return "OK done" if self._in else "NO [AUTHENTICATIONFAILED] wrong"

    async def _authenticate(self, _tag: str, _arguments: str) -> str:
        await self._say("+ ")
        said = base64.b64decode(await self._line()).decode()
        wanted = f"user={self._post.user}\x01auth=Bearer {self._server.token}\x01\x01"
        self._in = bool(self._server.token) and said == wanted
        return "OK done" if self._in else "NO [AUTHENTICATIONFAILED] wrong"

    async def _id(self, _tag: str, _arguments: str) -> str:
        await self._say('* ID ("name" "stand-in")')
        return "OK done"

    async def _select(self, _tag: str, arguments: str) -> str:
        if not self._in:
            return "NO log in first"
        if arguments.strip('"') != "INBOX":
            return "NO there is none"
        self._selected, self._told = True, len(self._post.mails)
        await self._say(
            f"* {self._told} EXISTS", f"* OK [UIDVALIDITY {self._post.validity}] ok",
            f"* OK [UIDNEXT {self._post.next_uid}] ok",
        )  # fmt: skip
        return "OK [READ-WRITE] selected"

    async def _noop(self, _tag: str, _arguments: str) -> str:
        return "OK done"

    async def _uid(self, _tag: str, arguments: str) -> str:
        if not self._selected:
            return "BAD select first"
        name, _, rest = arguments.partition(" ")
        if name.upper() == "SEARCH":
            await self._say(" ".join(["* SEARCH", *map(str, self._search(rest))]))
            return "OK done"
        uid = int(rest.split()[0])
        if uid not in self._post.mails:
            return "OK done"
        if name.upper() == "FETCH":
            await self._fetch(uid, rest)
        elif name.upper() == "STORE":
            self._post.seen.add(uid)
        return "OK done"

    def _search(self, criteria: str) -> list[int]:
        """`n:*` names the newest mail also where its number is smaller, as the standard has it."""
        uids = sorted(self._post.mails)
        if not (match := re.match(r"UID (\d+):\*", criteria, re.IGNORECASE)):
            return uids
        return [uid for uid in uids if uid >= int(match.group(1))] or uids[-1:]

    async def _fetch(self, uid: int, rest: str) -> None:
        match = _PARTIAL.search(rest)
        raw = self._post.mails[uid][: int(match.group(1)) if match else None]
        number = sorted(self._post.mails).index(uid) + 1
        self._writer.write(f"* {number} FETCH (UID {uid} BODY[]<0> {{{len(raw)}}}\r\n".encode() + raw)
        await self._say(")")

    async def _idle(self, _tag: str, _arguments: str) -> str:
        await self._say("+ idling")
        done = asyncio.create_task(self._line())
        try:
            await self._tell_until(done)
        finally:
            done.cancel()
        return "OK done"

    async def _tell_until(self, done: asyncio.Task[str]) -> None:
        while not done.done():
            news = asyncio.create_task(self._news())
            await asyncio.wait({done, news}, return_when=asyncio.FIRST_COMPLETED)
            if news.done():
                self._told = len(self._post.mails)
                await self._say(f"* {self._told} EXISTS")
            news.cancel()

    async def _news(self) -> None:
        async with self._post.arrived:
            await self._post.arrived.wait_for(lambda: len(self._post.mails) > self._told)


@dataclass
class SmtpServer:
    """`take` gets (envelope sender, recipient, mail); `planned` are answers given instead, by command."""

    user: str
    password: str
    take: Callable[[str, str, bytes], None]
    planned: dict[str, list[str]] = field(default_factory=dict)
    hosts_seen: list[str] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = _SmtpTalk(self, reader)
        lines = ["220 stand-in ESMTP"]
        while lines:
            writer.write("".join(f"{line}\r\n" for line in lines).encode())
            await writer.drain()
            if lines == ["354 go on"]:
                lines = await talk.take()
            else:
                lines = await talk.next() if lines != ["221 bye"] else []

    def plain(self) -> str:
        return base64.b64encode(f"\0{self.user}\0{self.password}".encode()).decode()


class _SmtpTalk:
    def __init__(self, server: SmtpServer, reader: asyncio.StreamReader) -> None:
        self._server = server
        self._reader = reader
        self._sender = ""
        self._recipients: list[str] = []
        self._known = False

    async def next(self) -> list[str]:
        """The answer to the next command; [] at the end."""
        line = (await self._reader.readline()).decode("utf-8", "replace").strip()
        name = line.split(" ")[0].upper()
        planned = self._server.planned.get(name)
        if planned:
            answer = planned.pop(0)
            return [] if answer == "hang up" else [answer]
        return self._answer(name, line) if line else []

    async def take(self) -> list[str]:
        mail = await _data(self._reader)
        for recipient in self._recipients:
            self._server.take(self._sender, recipient, mail)
        return ["250 taken"]

    def _answer(self, name: str, line: str) -> list[str]:
        if name == "EHLO":
            self._server.hosts_seen.append(line[5:])
            return ["250-stand-in", "250-AUTH PLAIN", "250-8BITMIME", f"250 SIZE {SIZE_LIMIT}"]
        if name == "AUTH":
            self._known = line == f"AUTH PLAIN {self._server.plain()}"
            return ["235 welcome" if self._known else "535 5.7.8 wrong"]
        if name == "MAIL":
            self._sender, self._recipients = _path(line), []
            return ["250 ok" if self._known else "530 5.7.0 log in first"]
        if name == "RCPT":
            self._recipients.append(_path(line))
        if name == "DATA":
            return ["354 go on"]
        return ["221 bye" if name == "QUIT" else "250 ok"]


@asynccontextmanager
async def serving(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    listener: socket.socket | None = None,
) -> AsyncIterator[int]:
    """The port, any free one without a `listener`. What is open is closed at the end."""
    tasks: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    if listener is None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=LINE_LIMIT)
    else:
        server = await asyncio.start_server(answer, sock=listener, limit=LINE_LIMIT)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _path(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]


async def _data(reader: asyncio.StreamReader) -> bytes:
    lines: list[bytes] = []
    while (line := await reader.readline()) not in (b".\r\n", b""):
        lines.append(line[1:] if line.startswith(b".") else line)
    return b"".join(lines)
