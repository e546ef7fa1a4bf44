"""The catalogue of what other systems may hear, read from `catalogue.yaml`; also makes its page, `docs/events.md`.

`outbox.tell` refuses what is not in it. `python -m foundation.outward.catalogue` writes the page, a test keeps it equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

_FILE = Path(__file__).parent / "catalogue.yaml"
PAGE = Path(__file__).parent.parent.parent / "docs" / "events.md"
_HEAD = """# Events for other systems

Made from `foundation/outward/catalogue.yaml`. The same events go to webhooks (`/console/webhooks`, `/v1/webhooks`) and to the event stream
(`HUILIU_STREAM_URL`). Each arrives **at least once**, under an id that never changes: remember the ids you have worked on. Within one lane (a conversation, a customer)
they arrive in the order in which they happened; a customer's conversations do not wait for each other.

```json
{"id": "evt_…", "type": "message.received", "version": 1, "tenant": "demo", "timestamp": "2026-11-25T09:00:00.000Z", "lane": "…", "data": {…}}
```

New fields may appear in `data` at any time: ignore what you do not know. A changed meaning comes with a higher `version`. The text of a message stands in `data.text` only
where the receiver asks for it and `HUILIU_OUTWARD_TEXTS` names the tenant; events hold no other personal data. Ids of customers lead on to today's
customer, whatever was merged or split since.

**Webhooks** are signed by [Standard Webhooks](https://www.standardwebhooks.com): `webhook-id`, `webhook-timestamp`, `webhook-signature` (two signatures while a secret is being changed). Answer
2xx within 15 seconds. Anything else is tried again after growing pauses for more than a day, later events of the same lane waiting behind it; `410` switches the webhook off,
five days of nothing but failures do as well. `Retry-After` is honoured.

**Streams** carry the same JSON with the id in the header: NATS JetStream subject `huiliu.<tenant>.<type>` with `Nats-Msg-Id`; Redis Streams key `huiliu.<tenant>`, fields `id`, `type`, `body`;
RabbitMQ topic exchange `huiliu`, routing key `<tenant>.<type>`, `message_id`, and a stream queue `huiliu.events` that keeps a week; Kafka topic `huiliu.<tenant>`, keyed by lane, header `id`.

"""


@dataclass(frozen=True, slots=True)
class Kind:
    """`lane`: the field whose value is the unit of order. `fields`: what `data` holds, with what it means."""

    name: str
    version: int
    lane: str
    zh: str
    en: str
    fields: Mapping[str, str]


@cache
def kinds() -> Mapping[str, Kind]:
    stored = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return {name: Kind(name=name, **one) for name, one in stored.items()}


def page() -> str:
    rows = ["| type | version | when | data |", "|---|---|---|---|"]
    for kind in kinds().values():
        fields = " · ".join(f"`{name}` {what}" for name, what in kind.fields.items())
        rows.append(f"| `{kind.name}` | {kind.version} | {kind.en} | {fields} |")
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
