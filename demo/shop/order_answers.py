"""Turns rows of the order database into what the tools answer, and codes into sentences in the customer's language.

Called from `order_book`. Phone numbers leave here masked; amounts leave as decimal strings, times as UTC in ISO 8601.
"""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from demo.shop.order_store import Answer
from demo.shop.return_policy import Line, ReturnDecision

Language = Literal["zh", "en"]


class Sentence(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    zh: str
    en: str


class Wording(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    refusals: dict[str, Sentence]
    decisions: dict[str, Sentence]
    events: dict[str, Sentence]

    def refuse(self, code: str, *, language: str) -> Answer:
        return {"ok": False, "code": code, "message": _say(self.refusals[code], language)}

    def render_decision(self, decision: ReturnDecision, *, language: str, currency: str) -> Answer:
        sentences = self.decisions if decision.allowed else self.refusals
        return {
            "ok": True,
            "allowed": decision.allowed,
            "needs_approval": decision.needs_approval,
            "code": decision.code,
            "message": _say(sentences[decision.code], language),
            "refund_amount": str(decision.refund_amount),
            "currency": currency,
            "freight_by": decision.freight_by,
            "deadline": render_time(decision.deadline),
        }

    def render_events(self, rows: Sequence[sqlite3.Row]) -> list[Answer]:
        return [
            {
                "at": row["at"],
                "event": row["event"],
                "text_zh": self.events[row["event"]].zh,
                "text_en": self.events[row["event"]].en,
            }
            for row in rows
        ]


def load_wording(path: Path) -> Wording:
    return Wording.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def render_summary(order: sqlite3.Row, items: Sequence[sqlite3.Row], *, currency: str) -> Answer:
    return {
        "order_no": order["order_no"],
        "state": order["state"],
        "placed_at": order["placed_at"],
        "items": [_render_item(item) for item in items],
        "total": str(total_of(order, items)),
        "currency": currency,
        "eta": order["eta"],
    }


def render_details(order: sqlite3.Row, items: Sequence[sqlite3.Row], *, deadline: datetime | None) -> Answer:
    """The part of an order that only `get_order` shows, beside its summary."""
    return {
        "paid_at": order["paid_at"],
        "shipped_at": order["shipped_at"],
        "signed_at": order["signed_at"],
        "amounts": {
            "goods": str(goods_of(items)),
            "discount": order["discount"],
            "delivery_fee": order["delivery_fee"],
            "total": str(total_of(order, items)),
        },
        "receiver": order["receiver"],
        "phone": mask_phone(order["phone"]),
        "address": order["address"],
        "carrier_zh": order["carrier_zh"],
        "carrier_en": order["carrier_en"],
        "tracking_no": order["tracking_no"],
        "return_deadline": render_time(deadline) if deadline else None,
        "refund": {"state": order["refund_state"], "amount": order["refund_amount"]}
        if order["refund_state"]
        else None,
    }


def render_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def mask_phone(phone: str) -> str:
    return f"{phone[:3]}****{phone[-4:]}"


def lines_of(items: Sequence[sqlite3.Row]) -> tuple[Line, ...]:
    return tuple(
        Line(
            sku=item["sku"],
            category=item["category"],
            returnable=bool(item["returnable"]),
            amount=Decimal(item["unit_price"]) * item["quantity"],
        )
        for item in items
    )


def goods_of(items: Sequence[sqlite3.Row]) -> Decimal:
    return sum((line.amount for line in lines_of(items)), Decimal(0))


def total_of(order: sqlite3.Row, items: Sequence[sqlite3.Row]) -> Decimal:
    return goods_of(items) - Decimal(order["discount"]) + Decimal(order["delivery_fee"])


def _render_item(item: sqlite3.Row) -> Answer:
    return {
        "sku": item["sku"],
        "name_zh": item["name_zh"],
        "name_en": item["name_en"],
        "category": item["category"],
        "unit_price": item["unit_price"],
        "quantity": item["quantity"],
        "returnable": bool(item["returnable"]),
        "return_no": item["return_no"],
    }


def _say(sentence: Sentence, language: str) -> str:
    return sentence.en if language == "en" else sentence.zh
