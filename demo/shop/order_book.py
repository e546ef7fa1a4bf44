"""The shop's orders: what a customer may see of them and change in them. One method per tool of `order_server`.

Every method takes the account first and answers a plain structure: `{"ok": true, …}` or `{"ok": false, "code", "message"}`.
An order of somebody else and an order that does not exist give the same answer. Each change runs in one transaction
together with the memory of its idempotency key.
"""

import re
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from demo.shop import order_answers as answers
from demo.shop.order_store import Answer, OrderStore, Request, once
from demo.shop.return_policy import (
    ReturnDecision,
    ReturnQuestion,
    ShopPolicy,
    decide_return,
    end_of_day_after,
)

MOST_ORDERS_LISTED = 50
_PHONE = re.compile(r"\+?\d(?:[ -]?\d){6,19}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+")
_TAX_NO = re.compile(r"[0-9A-Z]{18}")


@dataclass(frozen=True)
class Destination:
    address: str
    receiver: str
    phone: str

    def fault(self) -> str | None:
        if not 5 <= len(self.address) <= 200:
            return "invalid_address"
        if not 1 <= len(self.receiver) <= 50:
            return "invalid_receiver"
        return None if _PHONE.fullmatch(self.phone) else "invalid_phone"


@dataclass(frozen=True)
class InvoiceTitle:
    kind: str
    title: str
    tax_no: str | None
    email: str

    def fault(self) -> str | None:
        if self.kind not in {"personal", "company"}:
            return "invalid_kind"
        if not 1 <= len(self.title) <= 100:
            return "invalid_title"
        if self.kind == "company" and not _TAX_NO.fullmatch(self.tax_no or ""):
            return "invalid_tax_no"
        return None if _EMAIL.fullmatch(self.email) else "invalid_email"


@dataclass(frozen=True)
class ReturnRequest:
    skus: tuple[str, ...]
    reason: str
    approved_by: str | None = None


@dataclass(frozen=True)
class _Order:
    """One order as it stands inside a transaction, with the customer it belongs to."""

    row: sqlite3.Row
    items: Sequence[sqlite3.Row]
    language: str
    level: str

    @property
    def order_no(self) -> str:
        return str(self.row["order_no"])

    @property
    def state(self) -> str:
        return str(self.row["state"])


class OrderBook:
    def __init__(
        self, store: OrderStore, policy: ShopPolicy, *, wording: answers.Wording, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._policy = policy
        self._wording = wording
        self._now = now

    def get_customer(self, customer: str) -> Answer:
        with self._store.transaction() as db:
            row = _find_customer(db, customer)
            if row is None:
                return self._wording.refuse("unknown_customer", language="en")
            return {"ok": True, "name": row["name"], "level": row["level"], "language": row["language"]}

    def list_orders(self, customer: str, limit: int) -> Answer:
        with self._store.transaction() as db:
            if _find_customer(db, customer) is None:
                return self._wording.refuse("unknown_customer", language="en")
            rows = db.execute(
                "SELECT * FROM orders WHERE customer = ? ORDER BY placed_at DESC LIMIT ?",
                (customer, max(1, min(limit, MOST_ORDERS_LISTED))),
            ).fetchall()
            orders = [
                answers.render_summary(row, _items_of(db, row["order_no"]), currency=self._policy.currency)
                for row in rows
            ]
            return {"ok": True, "orders": orders}

    def get_order(self, customer: str, order_no: str) -> Answer:
        with self._store.transaction() as db:
            order = _find_order(db, customer, order_no)
            if order is None:
                return self._not_found(db, customer)
            events = db.execute(
                "SELECT at, event FROM events WHERE order_no = ? ORDER BY at, id", (order.order_no,)
            ).fetchall()
            summary = answers.render_summary(order.row, order.items, currency=self._policy.currency)
            details = answers.render_details(order.row, order.items, deadline=self._return_deadline(order))
            return {"ok": True, **summary, **details, "events": self._wording.render_events(events)}

    def check_return(self, customer: str, order_no: str, *, asked: ReturnRequest) -> Answer:
        with self._store.transaction() as db:
            order = _find_order(db, customer, order_no)
            if order is None:
                return self._not_found(db, customer)
            decision = self._decide(order, asked)
            if isinstance(decision, str):
                return self._wording.refuse(decision, language=order.language)
            return self._wording.render_decision(
                decision, language=order.language, currency=self._policy.currency
            )

    def create_return(self, customer: str, order_no: str, *, asked: ReturnRequest, key: str) -> Answer:
        def act(db: sqlite3.Connection, order: _Order) -> Answer:
            decision = self._decide(order, asked)
            if isinstance(decision, str):
                return self._wording.refuse(decision, language=order.language)
            if not decision.allowed:
                return self._wording.refuse(decision.code, language=order.language)
            if decision.needs_approval and not (asked.approved_by or "").strip():
                refusal = self._wording.refuse("needs_approval", language=order.language)
                return {**refusal, "because": decision.code}
            return self._record_return(db, order, asked=asked, decision=decision)

        request = Request(
            customer,
            key,
            "create_return",
            {"order": _normal(order_no), "skus": sorted(asked.skus), "reason": asked.reason},
        )
        return self._change(request, order_no, act=act)

    def change_address(self, customer: str, order_no: str, *, destination: Destination, key: str) -> Answer:
        def act(db: sqlite3.Connection, order: _Order) -> Answer:
            fault = destination.fault()
            if order.state not in self._policy.states.address_changeable:
                fault = "closed" if order.state in {"cancelled", "refunded"} else "already_shipped"
            if fault:
                return self._wording.refuse(fault, language=order.language)
            db.execute(
                "UPDATE orders SET address = ?, receiver = ?, phone = ? WHERE order_no = ?",
                (destination.address, destination.receiver, destination.phone, order.order_no),
            )
            self._note(db, order.order_no, "address_changed")
            return {
                "ok": True,
                "order_no": order.order_no,
                "address": destination.address,
                "receiver": destination.receiver,
                "phone": answers.mask_phone(destination.phone),
            }

        request = Request(
            customer, key, "change_address", {"order": _normal(order_no), **asdict(destination)}
        )
        return self._change(request, order_no, act=act)

    def request_invoice(self, customer: str, order_no: str, *, title: InvoiceTitle, key: str) -> Answer:
        def act(db: sqlite3.Connection, order: _Order) -> Answer:
            fault = title.fault()
            if order.state in self._policy.states.not_invoiceable:
                fault = "not_invoiceable"
            elif db.execute("SELECT 1 FROM invoices WHERE order_no = ?", (order.order_no,)).fetchone():
                fault = "already_invoiced"
            if fault:
                return self._wording.refuse(fault, language=order.language)
            return self._record_invoice(db, order, title=title)

        request = Request(customer, key, "request_invoice", {"order": _normal(order_no), **asdict(title)})
        return self._change(request, order_no, act=act)

    def cancel_order(self, customer: str, order_no: str, *, key: str) -> Answer:
        def act(db: sqlite3.Connection, order: _Order) -> Answer:
            if order.state not in self._policy.states.cancellable:
                return self._wording.refuse("not_cancellable", language=order.language)
            if order.state == "paid" and self._is_in_production(order):
                return self._wording.refuse("in_production", language=order.language)
            refund = answers.total_of(order.row, order.items) if order.state == "paid" else Decimal("0.00")
            db.execute(
                "UPDATE orders SET state = 'cancelled', eta = NULL, refund_state = ?, refund_amount = ? WHERE order_no = ?",
                ("refunding" if refund else None, str(refund) if refund else None, order.order_no),
            )
            self._note(db, order.order_no, "cancelled")
            return {
                "ok": True,
                "order_no": order.order_no,
                "state": "cancelled",
                "refund_amount": str(refund),
            }

        return self._change(
            Request(customer, key, "cancel_order", {"order": _normal(order_no)}), order_no, act=act
        )

    def _change(
        self, request: Request, order_no: str, *, act: Callable[[sqlite3.Connection, _Order], Answer]
    ) -> Answer:
        with self._store.transaction() as db:
            order = _find_order(db, request.customer, order_no)
            if order is None:
                return self._not_found(db, request.customer)
            if not 1 <= len(request.idempotency_key) <= 200:
                return self._wording.refuse("invalid_key", language=order.language)
            return once(
                db,
                request,
                act=lambda: act(db, order),
                reused=lambda: self._wording.refuse("key_reused", language=order.language),
            )

    def _decide(self, order: _Order, asked: ReturnRequest) -> ReturnDecision | str:
        """The policy's decision, or the code of what makes the question impossible to put to it."""
        if asked.reason not in self._policy.reasons:
            return "unknown_reason"
        if not asked.skus:
            return "no_items"
        if not set(asked.skus) <= {item["sku"] for item in order.items}:
            return "unknown_item"
        if any(item["return_no"] for item in order.items if item["sku"] in asked.skus):
            return "already_requested"
        if order.row["signed_at"] is None:
            return "closed" if order.state == "cancelled" else "not_delivered"
        if order.state not in self._policy.states.returnable:
            return "closed"
        question = ReturnQuestion(
            lines=answers.lines_of(order.items),
            chosen=frozenset(asked.skus),
            reason=asked.reason,
            signed_at=datetime.fromisoformat(order.row["signed_at"]),
            level=order.level,
            discount=Decimal(order.row["discount"]),
            delivery_fee=Decimal(order.row["delivery_fee"]),
        )
        return decide_return(self._policy, question, now=self._now())

    def _record_return(
        self, db: sqlite3.Connection, order: _Order, *, asked: ReturnRequest, decision: ReturnDecision
    ) -> Answer:
        skus = sorted(set(asked.skus))
        number = db.execute(
            "INSERT INTO returns (order_no, skus, reason, refund_amount, freight_by, approved_by, requested_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                order.order_no,
                ",".join(skus),
                asked.reason,
                str(decision.refund_amount),
                decision.freight_by,
                asked.approved_by,
                answers.render_time(self._now()),
            ),
        ).lastrowid
        return_no = f"RT{number:010d}"
        db.execute("UPDATE returns SET return_no = ? WHERE id = ?", (return_no, number))
        for sku in skus:
            db.execute(
                "UPDATE items SET return_no = ? WHERE order_no = ? AND sku = ?",
                (return_no, order.order_no, sku),
            )
        refund = Decimal(order.row["refund_amount"] or 0) + decision.refund_amount
        db.execute(
            "UPDATE orders SET state = 'return_requested', refund_state = 'return_requested', refund_amount = ?"
            " WHERE order_no = ?",
            (str(refund), order.order_no),
        )
        self._note(db, order.order_no, "return_requested")
        return {
            "ok": True,
            "return_no": return_no,
            "order_no": order.order_no,
            "skus": skus,
            "refund_amount": str(decision.refund_amount),
            "currency": self._policy.currency,
            "freight_by": decision.freight_by,
        }

    def _record_invoice(self, db: sqlite3.Connection, order: _Order, *, title: InvoiceTitle) -> Answer:
        amount = answers.total_of(order.row, order.items)
        number = db.execute(
            "INSERT INTO invoices (order_no, kind, title, tax_no, email, amount, requested_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                order.order_no,
                title.kind,
                title.title,
                title.tax_no,
                title.email,
                str(amount),
                answers.render_time(self._now()),
            ),
        ).lastrowid
        invoice_no = f"IV{number:010d}"
        db.execute("UPDATE invoices SET invoice_no = ? WHERE id = ?", (invoice_no, number))
        self._note(db, order.order_no, "invoice_requested")
        return {
            "ok": True,
            "invoice_no": invoice_no,
            "order_no": order.order_no,
            "amount": str(amount),
            "currency": self._policy.currency,
            "expected_by": self._invoice_expected_by(order),
        }

    def _invoice_expected_by(self, order: _Order) -> str | None:
        """None before signing: the invoice follows the signing."""
        if order.row["signed_at"] is None:
            return None
        start = max(self._now(), datetime.fromisoformat(order.row["signed_at"]))
        return answers.render_time(start + timedelta(hours=self._policy.invoice_hours_after_signing))

    def _is_in_production(self, order: _Order) -> bool:
        age = self._now() - datetime.fromisoformat(order.row["placed_at"])
        custom = any(item["category"] == "custom" for item in order.items)
        return custom and age > timedelta(hours=self._policy.custom_made_cancel_hours)

    def _return_deadline(self, order: _Order) -> datetime | None:
        if order.row["signed_at"] is None:
            return None
        signed_at = datetime.fromisoformat(order.row["signed_at"])
        days = self._policy.windows["no_reason"].days
        return end_of_day_after(signed_at, days=days, time_zone=self._policy.time_zone)

    def _note(self, db: sqlite3.Connection, order_no: str, event: str) -> None:
        db.execute(
            "INSERT INTO events (order_no, at, event) VALUES (?, ?, ?)",
            (order_no, answers.render_time(self._now()), event),
        )

    def _not_found(self, db: sqlite3.Connection, customer: str) -> Answer:
        row = _find_customer(db, customer)
        return self._wording.refuse("not_found", language=row["language"] if row else "en")


def _find_customer(db: sqlite3.Connection, customer: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute("SELECT * FROM customers WHERE account = ?", (customer,)).fetchone()
    return row


def _find_order(db: sqlite3.Connection, customer: str, order_no: str) -> _Order | None:
    row = db.execute(
        "SELECT o.*, c.language, c.level FROM orders o JOIN customers c ON c.account = o.customer"
        " WHERE o.order_no = ? AND o.customer = ?",
        (_normal(order_no), customer),
    ).fetchone()
    if row is None:
        return None
    return _Order(row, _items_of(db, row["order_no"]), language=row["language"], level=row["level"])


def _items_of(db: sqlite3.Connection, order_no: str) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM items WHERE order_no = ? ORDER BY rowid", (order_no,)).fetchall()


def _normal(order_no: str) -> str:
    """People type `sq 2026 010001`; the book knows `SQ2026010001`."""
    return "".join(order_no.split()).upper()
