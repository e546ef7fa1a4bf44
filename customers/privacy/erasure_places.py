"""Every place in the database that holds something of a customer, and how it is emptied: the one list that erasing reads.

A test of the house compares it with the tables that there are: a new table fails it until it stands here, either with the
columns by which a person's rows are found, or with the reason why none of its rows is about anybody. Tables are named, not
imported: this floor does not see the packages that declare them. What lies outside of the database is in `service/privacy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["identity", "conversation", "lane", "told", "session", "payload"]
"""What stands in a column. `lane`: of the bus, a conversation and its behaviour. `told`: what events to other systems are
about. `session`: of the web chat. `payload`: the name of a message under which its raw form is kept."""


@dataclass(frozen=True, slots=True)
class Place:
    """A row is the person's when one of `keys`, columns with what stands in them, is theirs."""

    table: str
    keys: tuple[tuple[str, Kind], ...]


def _of(kind: Kind, column: str, *tables: str) -> tuple[Place, ...]:
    return tuple(Place(table, ((column, kind),)) for table in tables)


DELETED: tuple[Place, ...] = (
    Place("raw_payload", (("key", "payload"),)),  # found through the messages, so before them
    *_of(
        "conversation", "conversation_id",
        "app_device", "app_push", "approval", "behaviour_event", "delivery_part", "delivery_slot", "desk_note", "media",
        "message", "sign_in_link", "turn", "web_chat_upload",
    ),
    *_of("conversation", "scope", "channel_rate"),
    *_of("lane", "lane", "bus_inbox", "bus_outbox"),
    *_of("told", "lane", "outward_event", "webhook_delivery"),
    *_of("session", "family", "web_chat_visitor"),
    Place("assurance", (("conversation_id", "conversation"), ("account_identity_id", "identity"))),
    Place("proof_challenge", (("conversation_id", "conversation"), ("identity_id", "identity"))),
    Place("identity_claim", (("conversation_id", "conversation"), ("identity_id", "identity"))),
    *_of(
        "identity", "identity_id",
        "block_key", "changed_identity", "consent", "customer_import_left_out", "identity_relabelling", "match_record", "personal_copy", "profile_case", "profile_event",
        "profile_fact", "profile_shard", "profile_standing", "profile_tag", "quarantine", "search_key",
    ),
    *(
        Place(table, (("a", "identity"), ("b", "identity")))
        for table in ("identity_cannot_link", "identity_edge", "review_item")
    ),
    *_of("conversation", "conversation_id", "conversation_identity"),
    *_of("conversation", "id", "conversation"),
    *_of("identity", "id", "identity"),
)  # fmt: skip
"""In this order."""

REDACTED: Mapping[str, str] = {
    "audit_entry": "who did what stays; the words of entries about the person go, and an entry vouches for the rest of them",
    "identity_op": "ids, actor and moment stay; the reason in somebody's words goes, and an operation vouches for the rest",
}
"""Books that are chained by hashes: their rows stay, without what was said about the person."""

SHORT_LIVED: Mapping[str, str] = {
    "customer_import": "a sealed file of many people until it is taken in; dropped after seven days",
    "customer_import_batch": "sealed rows of many people until they are stored; dropped after seven days where that fails",
}
"""People are in it, nobody can be found in it, and it goes by itself. Who was erased meanwhile is kept out when it is stored, rows
of a file that are kept as a sample lose those that name them, and an erasure is done only when what was there before is gone."""

NOTHING: Mapping[str, str] = {
    "article": "the shop's own articles",
    "article_version": "the shop's own articles",
    "bus_lane": "how far a lane is; its numbers are in keys that providers remember and must not come again",
    "channel_account": "the shop's own accounts",
    "channel_refusal": "counts",
    "channel_shelf": "tokens and cursors; a wish to get no messages, under a keyed digest, which must be kept to be honoured",
    "cleaning_count": "counts",
    "erasure": "that somebody was erased: keyed digests and numbers, so that a restored copy can be erased again",
    "erasure_receipt": "numbers",
    "key_rotation": "how far a rotation is",
    "knowledge": "the shop's own articles",
    "knowledge_release": "the shop's own articles",
    "match_model": "weights, learned from everybody",
    "match_state": "counts",
    "outward_cursor": "how far a receiver is",
    "passage": "the shop's own articles",
    "profile_model": "weights, learned from everybody",
    "prompt_publication": "the shop's own texts",
    "prompt_version": "the shop's own texts",
    "proof_stop": "when guessing stopped the one-time codes of a tenant",
    "staff": "who works here; they are no customers",
    "suppression": "keyed digests of erased names, so that no import brings them back",
    "used_user_token": "keyed digests of tokens that were shown, until they run out",
    "webhook": "receivers",
}
