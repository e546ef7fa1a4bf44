"""The shop's order system as a process of its own: eight tools over MCP, on stdio or streamable HTTP at `/mcp`.

    python -m demo.shop.order_server --database PATH [--reset] [--stdio | --port 8765 --host 127.0.0.1]

Started by `make run` and by whoever wants to talk to it. It trusts its caller to say who the customer is: the `customer`
argument is bound by the calling server from a proven sign-in, never taken from what somebody typed, so the port belongs on
loopback. A new database is seeded at the start.
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from mcp.server.mcpserver import MCPServer
from pydantic import Field

from demo.shop import order_answers, return_policy, seed
from demo.shop.order_book import Destination, InvoiceTitle, OrderBook, ReturnRequest
from demo.shop.order_store import Answer, OrderStore

SHOP = Path(__file__).parent

Customer = Annotated[
    str, Field(description="Account id of the signed-in customer; bound by the calling server.")
]
OrderNo = Annotated[str, Field(description="Order number: SQ and 10 digits, for example SQ2026010001.")]
Key = Annotated[
    str,
    Field(description="1–200 characters, new for each intended change; a repetition answers the same again."),
]
Skus = Annotated[
    list[str],
    Field(description="The sku of each order line to return, as get_order lists them; whole lines only."),
]
Reason = Annotated[
    str, Field(description="One of: change_of_mind, quality, damaged, wrong_item, missing_parts.")
]


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parse(arguments)
    store = OrderStore(options.database)
    now = datetime.now(UTC)
    seed.ensure_seeded(store, seed.load_seed_data(SHOP / "seed_data"), now=now, reset=options.reset)
    book = OrderBook(
        store,
        return_policy.load_policy(SHOP / "policy.yaml"),
        wording=order_answers.load_wording(SHOP / "wording.yaml"),
        now=lambda: datetime.now(UTC),
    )
    server = build_server(book)
    if options.stdio:
        server.run("stdio")
    else:
        server.run("streamable-http", host=options.host, port=options.port)


def build_server(book: OrderBook) -> MCPServer:
    server = MCPServer(
        "titmouse-orders",
        instructions="Orders of the shop Titmouse Home. Read before you change; ask the customer to confirm a change.",
        log_level="WARNING",
    )
    _add_reading_tools(server, book)
    _add_return_tools(server, book)
    _add_order_changes(server, book)
    return server


def _add_reading_tools(server: MCPServer, book: OrderBook) -> None:
    @server.tool()
    def get_customer(customer: Customer) -> Answer:
        """The name, member level (member, silver, gold, platinum) and language of the customer."""
        return book.get_customer(customer)

    @server.tool()
    def list_orders(customer: Customer, limit: int = 10) -> Answer:
        """The customer's orders, newest first: number, state, items, total and expected arrival. Use it when the customer
        asks about an order without naming its number."""
        return book.list_orders(customer, limit)

    @server.tool()
    def get_order(customer: Customer, order_no: OrderNo) -> Answer:
        """Everything about one order: state, items with their sku, amounts, address, carrier and tracking number, the
        timeline, expected arrival, signing time, the last moment for a return without reason, and the refund."""
        return book.get_order(customer, order_no)


def _add_return_tools(server: MCPServer, book: OrderBook) -> None:
    @server.tool()
    def check_return(customer: Customer, order_no: OrderNo, *, skus: Skus, reason: Reason) -> Answer:
        """Whether the policy lets these items go back, without changing anything: `allowed`, `needs_approval` (a member of
        staff has to agree first), `code` (why), the refund, who pays the freight, and the deadline. Call it before
        create_return and tell the customer the result."""
        return book.check_return(customer, order_no, asked=ReturnRequest(tuple(skus), reason))

    @server.tool()
    def create_return(
        customer: Customer,
        order_no: OrderNo,
        *,
        skus: Skus,
        reason: Reason,
        idempotency_key: Key,
        approved_by: Annotated[
            str | None,
            Field(description="Who of the staff approved it; needed only when check_return says so."),
        ] = None,
    ) -> Answer:
        """Requests a return and gives its number. Refused when the policy forbids it (code of check_return) or when it
        needs an approval and has none (needs_approval). Only after the customer has confirmed."""
        asked = ReturnRequest(tuple(skus), reason, approved_by=approved_by)
        return book.create_return(customer, order_no, asked=asked, key=idempotency_key)


def _add_order_changes(server: MCPServer, book: OrderBook) -> None:
    @server.tool()
    def change_address(
        customer: Customer,
        order_no: OrderNo,
        *,
        address: str,
        receiver: str,
        phone: str,
        idempotency_key: Key,
    ) -> Answer:
        """Replaces the delivery address, receiver and phone of an order that has not shipped (unpaid or paid)."""
        destination = Destination(address.strip(), receiver.strip(), phone.strip())
        return book.change_address(customer, order_no, destination=destination, key=idempotency_key)

    @server.tool()
    def request_invoice(
        customer: Customer,
        order_no: OrderNo,
        *,
        kind: Annotated[Literal["personal", "company"], Field(description="Whose title the invoice bears.")],
        title: Annotated[str, Field(description="Name of the person, or full name of the company.")],
        email: Annotated[str, Field(description="Where the electronic invoice is sent.")],
        idempotency_key: Key,
        tax_no: Annotated[str | None, Field(description="18-character tax number; companies only.")] = None,
    ) -> Answer:
        """Requests the electronic invoice of an order that was paid; one invoice per order."""
        invoice = InvoiceTitle(kind, title.strip(), (tax_no or "").strip().upper() or None, email.strip())
        return book.request_invoice(customer, order_no, title=invoice, key=idempotency_key)

    @server.tool()
    def cancel_order(customer: Customer, order_no: OrderNo, *, idempotency_key: Key) -> Answer:
        """Cancels an order that has not shipped (unpaid or paid); what was paid is refunded. Cannot be undone: only after
        the customer has confirmed."""
        return book.cancel_order(customer, order_no, key=idempotency_key)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo.shop.order_server", description="Order system of the demo shop."
    )
    parser.add_argument(
        "--database", type=Path, required=True, help="SQLite file; created and seeded when new"
    )
    parser.add_argument("--reset", action="store_true", help="throw the data away and seed again")
    parser.add_argument("--stdio", action="store_true", help="speak MCP on standard input and output")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8765)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
