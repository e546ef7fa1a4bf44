"""The order system's own SQLite database: its tables, its transactions, and the memory of what was already done.

Called from `order_book` and `seed`. Every transaction takes the write lock at its start, so that two callers with the same
idempotency key, in one process or in two, run one after the other and the second finds the first one's answer.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Answer = dict[str, object]

_LOCK_TIMEOUT_SECONDS = 10
_TABLES = """
CREATE TABLE IF NOT EXISTS customers (
    account TEXT PRIMARY KEY, name TEXT NOT NULL, level TEXT NOT NULL, language TEXT NOT NULL, phone TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS orders (
    order_no TEXT PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers(account), state TEXT NOT NULL,
    placed_at TEXT NOT NULL, paid_at TEXT, shipped_at TEXT, signed_at TEXT, eta TEXT,
    discount TEXT NOT NULL, delivery_fee TEXT NOT NULL, receiver TEXT NOT NULL, phone TEXT NOT NULL, address TEXT NOT NULL,
    carrier_zh TEXT, carrier_en TEXT, tracking_no TEXT, refund_state TEXT, refund_amount TEXT
);
CREATE INDEX IF NOT EXISTS orders_of_customer ON orders(customer, placed_at);
CREATE TABLE IF NOT EXISTS items (
    order_no TEXT NOT NULL REFERENCES orders(order_no), sku TEXT NOT NULL, name_zh TEXT NOT NULL, name_en TEXT NOT NULL,
    category TEXT NOT NULL, unit_price TEXT NOT NULL, quantity INTEGER NOT NULL, returnable INTEGER NOT NULL,
    return_no TEXT, PRIMARY KEY (order_no, sku)
);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, order_no TEXT NOT NULL REFERENCES orders(order_no), at TEXT NOT NULL, event TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_of_order ON events(order_no, at);
CREATE TABLE IF NOT EXISTS returns (
    id INTEGER PRIMARY KEY, return_no TEXT UNIQUE, order_no TEXT NOT NULL REFERENCES orders(order_no), skus TEXT NOT NULL,
    reason TEXT NOT NULL, refund_amount TEXT NOT NULL, freight_by TEXT NOT NULL, approved_by TEXT, requested_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS invoices (
    id INTEGER PRIMARY KEY, invoice_no TEXT UNIQUE, order_no TEXT NOT NULL UNIQUE REFERENCES orders(order_no),
    kind TEXT NOT NULL, title TEXT NOT NULL, tax_no TEXT, email TEXT NOT NULL, amount TEXT NOT NULL, requested_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS done (
    customer TEXT NOT NULL, idempotency_key TEXT NOT NULL, request TEXT NOT NULL, answer TEXT NOT NULL,
    PRIMARY KEY (customer, idempotency_key)
);
"""


@dataclass(frozen=True)
class Request:
    """What a change asks for. Its digest tells a repeated request from a second one under a reused key."""

    customer: str
    idempotency_key: str
    action: str
    arguments: dict[str, object]

    def digest(self) -> str:
        text = json.dumps([self.action, self.arguments], ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class OrderStore:
    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._connection() as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(_TABLES)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing of it; waits up to ten seconds for another writer."""
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_SECONDS, isolation_level=None)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA foreign_keys = ON")
        try:
            yield db
        finally:
            db.close()


def once(
    db: sqlite3.Connection, request: Request, *, act: Callable[[], Answer], reused: Callable[[], Answer]
) -> Answer:
    """Runs `act`, or repeats the answer it gave before under this key.

    Refusals are not remembered: the same request may succeed later, for instance once a person has approved it.
    """
    row = db.execute(
        "SELECT request, answer FROM done WHERE customer = ? AND idempotency_key = ?",
        (request.customer, request.idempotency_key),
    ).fetchone()
    if row is not None:
        return dict(json.loads(row["answer"])) if row["request"] == request.digest() else reused()
    answer = act()
    if answer["ok"]:
        db.execute(
            "INSERT INTO done (customer, idempotency_key, request, answer) VALUES (?, ?, ?, ?)",
            (
                request.customer,
                request.idempotency_key,
                request.digest(),
                json.dumps(answer, ensure_ascii=False),
            ),
        )
    return answer
