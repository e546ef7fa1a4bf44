"""Slack's events and button taps to our message, our reply to Slack's JSON; pure.

`channel.py` calls it on both ways. The message id is made of workspace, channel and `ts`, never of `event_id`: one
message has come with several event ids, and a mention comes as `app_mention` and as `message` with one `ts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import parse_qs

from channels.adapters.slack import markup
from channels.contract import BODY_LIMIT
from channels.platforms.payloads import canonical, child, digest, items, moment, parse, words
from foundation import errors
from foundation.messages import Attachment, Choice, Identifier, InboundMessage, TenantId

NAME = "slack"
SPOKEN = frozenset({"", "file_share", "thread_broadcast", "me_message"})
"""Subtypes of a message that a person just wrote; the others tell of edits, joins and bots."""
SYSTEM_USER = "USLACKBOT"
LABEL_LIMIT = 75
VALUE_LIMIT = 2000
_OWN_NAMES: Mapping[str, str] = {"assistant_thread_started": "enter"}


@dataclass(frozen=True, slots=True)
class Reader:
    """What the account says about how to read. `bot_user_id` only where the payload does not name it."""

    tenant: TenantId
    account: str
    app_id: str = ""
    team_id: str = ""
    bot_user_id: str = ""
    channels: Literal["mentions", "all"] = "mentions"


def parse_payload(body: bytes) -> dict[str, Any]:
    """The JSON of the Events API, or the JSON in the form of a tapped button. Raises `UnreadablePayload`."""
    if len(body) > BODY_LIMIT:
        raise errors.UnreadablePayload("The payload is too large.", code="too_large")
    form = parse_form(body)
    if "payload" in form:
        return parse(form["payload"], "Slack")
    if "command" in form:
        return {**form, "type": "slash_command"}
    return parse(body, "Slack")


def parse_form(body: bytes) -> dict[str, str]:
    """{} where the body is JSON or no form."""
    if body.lstrip()[:1] in (b"{", b"[", b"<", b"") or b"=" not in body:
        return {}
    try:
        fields = parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=200)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


@dataclass(frozen=True, slots=True)
class _Spot:
    """Who, where and when; `beside` tells apart what shares a `ts`."""

    user: str
    place: str
    ts: str
    thread_ts: str
    direct: bool
    beside: str = ""


def read(body: bytes, reader: Reader, received_at: datetime) -> list[InboundMessage]:
    """Nothing for our own echo, for other bots, for edits, and in channels for what does not mention the bot. Raises
    `UnreadablePayload`."""
    payload = parse_payload(body)
    kind = words(payload, "type")
    if not kind:
        raise errors.UnreadablePayload("The payload does not say what it is.")
    if kind in ("app_rate_limited", "url_verification"):
        return []
    _check_account(payload, reader)
    if kind == "event_callback":
        found = _event(payload, reader, received_at)
    elif kind == "block_actions":
        found = _tap(payload, reader, received_at)
    else:
        found = _interaction(payload, reader, received_at)
    return [] if found is None else [found]


def render_post(*, channel: str, thread_ts: str, text: str, choices: Sequence[Choice] = ()) -> dict[str, Any]:
    """The body of chat.postMessage. `mrkdwn` is off: stars and underscores in a text are stars and underscores."""
    body: dict[str, Any] = {
        "channel": channel, "text": markup.escape(text), "mrkdwn": False, "unfurl_links": False,
        "unfurl_media": False,
    }  # fmt: skip
    if thread_ts:
        body["thread_ts"] = thread_ts
    if choices:
        body["blocks"] = [_section(text)] * bool(text.strip()) + [_buttons(choices)]
    return body


def _check_account(payload: dict[str, Any], reader: Reader) -> None:
    app, team = words(payload, "api_app_id"), _team(payload)
    if (reader.app_id and app not in ("", reader.app_id)) or (
        reader.team_id and team not in ("", reader.team_id)
    ):
        raise errors.UnreadablePayload("The call is for another app or workspace.", code="other_account")


def _event(payload: dict[str, Any], reader: Reader, received_at: datetime) -> InboundMessage | None:
    event = child(payload, "event")
    user, bot = _user(event), _bot(payload) or reader.bot_user_id
    if not user or user in (bot, SYSTEM_USER) or event.get("bot_id") or event.get("bot_profile"):
        return None
    name = words(event, "type")
    place = _place(event)
    if name not in ("message", "app_mention"):
        return _other(payload, event, reader, received_at)
    if words(event, "subtype") not in SPOKEN:
        return None
    text = words(event, "text")
    direct = _is_direct(event, place)
    wanted = direct or name == "app_mention" or reader.channels == "all" or markup.mentions(text, bot)
    if not wanted or not words(event, "ts"):
        return None
    text, attachments = markup.read(text, bot), _attachments(event)
    sender_name = words(event, "user_profile", "display_name") or words(event, "user_profile", "real_name")
    return _message(
        payload, reader, _Spot(user, place, words(event, "ts"), words(event, "thread_ts"), direct), received_at,
        kind=_kind(text, attachments), text=text, attachments=attachments,
        event_data={"sender_name": sender_name} if sender_name else {},
    )  # fmt: skip


def _tap(payload: dict[str, Any], reader: Reader, received_at: datetime) -> InboundMessage | None:
    """A button comes back as the value of its choice; its id is the moment of the tap."""
    user, place = _user(payload), words(payload, "channel", "id") or words(payload, "container", "channel_id")
    actions = [one for one in items(payload, "actions") if words(one, "value")]
    if not user or not place or not actions:
        return None
    shown = words(payload, "message", "ts") or words(payload, "container", "message_ts")
    label = words(actions[0], "text", "text")
    data = {"chosen": label, "sender_name": words(payload, "user", "name")}
    thread_ts = words(payload, "message", "thread_ts") or words(payload, "container", "thread_ts")
    direct, value = place.startswith("D"), words(actions[0], "value")
    spot = _Spot(
        user,
        place,
        words(actions[0], "action_ts") or shown,
        thread_ts or ("" if direct else shown),
        direct,
        value,
    )
    return _message(
        payload, reader, spot, received_at, kind="text", text=value,
        event_data={name: value for name, value in data.items() if value},
    )  # fmt: skip


def _other(
    payload: dict[str, Any], event: dict[str, Any], reader: Reader, received_at: datetime
) -> InboundMessage | None:
    name = words(event, "type")
    place = _place(event)
    assistant = child(event, "assistant_thread")
    ts = (
        words(event, "event_ts")
        or words(event, "ts")
        or words(assistant, "thread_ts")
        or words(payload, "event_time")
    )
    thread_ts = words(assistant, "thread_ts") or words(event, "item", "ts")
    user = _user(event)
    spot = _Spot(user, place or user, ts, thread_ts, place[:1] in ("D", ""), name or canonical(event))
    kind = "event" if name else "unknown"
    return _message(payload, reader, spot, received_at, kind=kind, event=_OWN_NAMES.get(name, name))


def _interaction(payload: dict[str, Any], reader: Reader, received_at: datetime) -> InboundMessage | None:
    """Shortcuts, dialogues and commands: kept by their names, nothing is done about them."""
    user, place = _user(payload), words(payload, "channel", "id") or words(payload, "channel_id")
    if not user:
        return None
    name = words(payload, "type")
    spot = _Spot(
        user, place or user, words(payload, "action_ts"), "", place[:1] in ("D", ""), canonical(payload)
    )
    return _message(payload, reader, spot, received_at, kind="event", event=name)


def _message(
    payload: dict[str, Any], reader: Reader, spot: _Spot, received_at: datetime, **content: Any
) -> InboundMessage:
    """In a direct conversation the channel is the thread; elsewhere the parent of the thread belongs to it."""
    team = _team(payload)
    parent = spot.thread_ts or spot.ts
    context = {"channel": spot.place, "thread_ts": spot.thread_ts if spot.direct else parent}
    return InboundMessage(
        tenant=reader.tenant,
        channel=NAME,
        account=reader.account,
        thread=spot.place if spot.direct else f"{spot.place}:{parent}",
        message_id=digest(reader.account, team, spot.place, spot.user, spot.ts, spot.beside),
        sender=(Identifier(namespace=f"{NAME}:{team or reader.team_id}", value=spot.user, proven=True),),
        sent_at=moment(spot.ts, received_at),
        reply_context={name: value for name, value in context.items() if value},
        **content,
    )


def _attachments(event: dict[str, Any]) -> tuple[Attachment, ...]:
    return tuple(
        _attachment(one) for one in items(event, "files") if words(one, "id") or words(one, "url_private")
    )


def _attachment(file: dict[str, Any]) -> Attachment:
    media_type = words(file, "mimetype")
    return Attachment(
        kind=_MEDIA.get(media_type.split("/")[0], "file"),
        url=words(file, "url_private"),
        media_id=words(file, "id"),
        media_type=media_type,
        name=words(file, "name"),
        description=words(file, "title") if words(file, "title") != words(file, "name") else "",
    )


_MEDIA: Mapping[str, Literal["image", "voice", "video"]] = {
    "image": "image",
    "audio": "voice",
    "video": "video",
}


def _kind(text: str, attachments: tuple[Attachment, ...]) -> str:
    return attachments[0].kind if attachments and not text.strip() else "text"


def _user(found: dict[str, Any]) -> str:
    """As an id or as an object, or where an assistant's thread names it."""
    return (
        words(found, "user") or words(found, "user", "id") or words(found, "user_id")
        or words(found, "assistant_thread", "user_id")
    )  # fmt: skip


def _place(event: dict[str, Any]) -> str:
    return (
        words(event, "channel") or words(event, "channel", "id") or words(event, "channel_id")
        or words(event, "item", "channel") or words(event, "assistant_thread", "channel_id")
    )  # fmt: skip


def _team(payload: dict[str, Any]) -> str:
    return words(payload, "team_id") or words(payload, "team", "id")


def _bot(payload: dict[str, Any]) -> str:
    bots = [words(one, "user_id") for one in items(payload, "authorizations") if one.get("is_bot")]
    return bots[0] if bots else ""


def _is_direct(event: dict[str, Any], place: str) -> bool:
    return words(event, "channel_type") == "im" or place.startswith("D")


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}


def _buttons(choices: Sequence[Choice]) -> dict[str, Any]:
    elements = [
        {
            "type": "button",
            "action_id": f"choice_{number}",
            "text": {"type": "plain_text", "text": _cut(choice.label, LABEL_LIMIT), "emoji": False},
            "value": choice.value if len(choice.value) <= VALUE_LIMIT else choice.label[:VALUE_LIMIT],
        }
        for number, choice in enumerate(choices)
    ]
    return {"type": "actions", "elements": elements}


def _cut(label: str, limit: int) -> str:
    return label if len(label) <= limit else f"{label[: limit - 1]}…"
