"""Our reply as a mail: plain text and HTML of the same words, threaded, marked as automatic where it is; pure.

`channel.send` calls `render`. Message-ID and boundary come from the idempotency key, so that a repeated send is the same
mail for every server and client that looks at ids.
"""

from __future__ import annotations

import html
import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from channels import degrade
from channels.adapters.email.codec import Mailbox
from channels.adapters.email.reading.words import SUBJECT
from channels.adapters.email.threads import Place, digest
from channels.contract import Part
from foundation import errors

_ADDRESS = re.compile(r"[^\s<>,;\"]{1,254}")
_URL = re.compile(r"https?://[^\s<>\"'，。；！？）】》」]+[^\s<>\"'，。；！？）】》」.,;:!?)]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_LINK = re.compile(r"\[([^\[\]\n]+)\]\((https?://[^\s()<>\"]+)\)")
_STYLE = "font-family:sans-serif;font-size:15px;line-height:1.6"


def render(
    part: Part, box: Mailbox, *, idempotency_key: str, now: datetime, name: str = "", signature: str = ""
) -> tuple[str, bytes]:
    """(Message-ID without brackets, the mail). Raises `UpstreamRefused` for a recipient that is no address."""
    message, context = part.message, part.message.reply_context
    if not _ADDRESS.fullmatch(message.recipient):
        raise errors.UpstreamRefused("The recipient is not an address.", code="email_address")
    thread = digest("conversation", message.conversation_id)[:32]
    place = Place(context.get("root", thread[:24]), context.get("thread", thread))
    message_id = box.threads.make_id(place, idempotency_key)
    mail = EmailMessage(policy=SMTP)
    mail["From"] = _sender(name, box.address)
    mail["To"] = message.recipient
    mail["Subject"] = _subject(context.get("subject", ""), message.reply.language, reply=bool(context))
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{message_id}>"
    if answered := _ids(context.get("in_reply_to", "")):
        mail["In-Reply-To"] = answered
    if references := _ids(context.get("references", "")):
        mail["References"] = references
    mail["X-Loop"] = box.loop_token
    if message.role != "agent":
        mail["Auto-Submitted"] = "auto-replied" if context else "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"
    _fill(mail, part.text, signature, boundary=digest("boundary", message_id)[:32])
    return message_id, mail.as_bytes()


def to_html(text: str) -> str:
    """Our small Markdown (bold, links, lists, headings, code) as HTML; everything else stands as it is written."""
    blocks: list[str] = []
    for block in re.split(r"\n{2,}", text.strip()):
        lines = [_html_line(line) for line in block.split("\n") if not line.strip().startswith("```")]
        if lines:
            blocks.append(f"<p>{'<br>'.join(lines)}</p>")
    return "\n".join(blocks)


def _fill(mail: EmailMessage, text: str, signature: str, *, boundary: str) -> None:
    plain, page = degrade.plain(text), to_html(text)
    signature = "\n".join(_CONTROL.sub(" ", line).rstrip() for line in signature.strip().split("\n"))
    if signature:
        plain = f"{plain}\n\n-- \n{signature}"
        page += (
            f'\n<p style="color:#777">-- <br>{"<br>".join(map(html.escape, signature.split(chr(10))))}</p>'
        )
    mail.set_content(plain, charset="utf-8", cte="base64")
    mail.add_alternative(
        f'<!DOCTYPE html>\n<html><body style="{_STYLE}">\n{page}\n</body></html>\n', subtype="html", charset="utf-8",
        cte="base64",
    )  # fmt: skip
    mail.set_boundary(f"=_{boundary}")


def _html_line(line: str) -> str:
    line = re.sub(r"^(\s*)[-*+]\s+", r"\1• ", line)
    heading = re.match(r"^\s{0,3}#{1,6}\s+(.*)$", line)
    if heading:
        return f"<strong>{_html_words(heading.group(1))}</strong>"
    return _html_words(line)


def _html_words(line: str) -> str:
    """Links first, as they stand; their places are kept by marks that no text holds."""
    kept: list[str] = []

    def keep(address: str, words: str) -> str:
        kept.append(f'<a href="{html.escape(address)}">{html.escape(words)}</a>')
        return f"\x00{len(kept) - 1}\x00"

    line = line.replace("\x00", "")
    line = _LINK.sub(lambda match: keep(match.group(2), match.group(1)), line)
    line = _URL.sub(lambda match: keep(match.group(0), match.group(0)), line)
    line = html.escape(line, quote=False)
    line = re.sub(r"\*\*(\S(?:.*?\S)?)\*\*", r"<strong>\1</strong>", line)
    line = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", line)
    return re.sub("\x00(\\d+)\x00", lambda match: kept[int(match.group(1))], line)


def _sender(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(_CONTROL.sub(" ", name).strip(), local, domain)


def _subject(subject: str, language: str, *, reply: bool) -> str:
    """An encoded word in it stays as it is written: the library would unpack it, line ends and all, into the headers."""
    clean = " ".join(_CONTROL.sub(" ", subject).replace("=?", "= ?").split())
    words = clean or SUBJECT["zh" if language.startswith(("zh", "yue", "wuu", "cmn")) else "en"]
    return f"Re: {words}" if reply else words


def _ids(listed: str) -> str:
    """One a line fits into any header; whatever is no id is left out."""
    return " ".join(
        f"<{one}>" for one in listed.split() if re.fullmatch(r"[!-;=?-~]{1,300}", one) and "=?" not in one
    )
