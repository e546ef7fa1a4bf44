"""A graph on a database in memory, where each history is told on a clean slate, and what can be compared afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa
from hypothesis import strategies as st

from customers import records as places
from customers.graph import records
from customers.graph.graph import Graph
from customers.graph.operations import Grounds, Operations
from customers.graph.partition import ACCOUNT, Rules, Strength
from foundation import conversations
from foundation.messages import ConversationId, Identifier, TenantId
from foundation.security import Vault
from foundation.storage.database import metadata
from service import revise
from tests.conftest import StandingClock

DEMO = TenantId("demo")
VAULT = Vault(b"0123456789abcdef0123456789abcdef")
START = StandingClock().now
TIGHT = Rules(accounts=1, members=4)
RULES = [Rules(), TIGHT]


def vouched(namespace: str, value: str = "1", *, device: bool = False) -> Identifier:
    return Identifier(namespace=namespace, value=value, proven=True, device=device)


PEOPLE = [vouched("wechat_oa:wx", str(number)) for number in range(3)] + [
    vouched("wechat_union:w"), vouched("phone"), vouched("phone", "2"), vouched("slack:t"),
]  # fmt: skip
BROWSER = vouched("web_chat:main", "v", device=True)
ACCOUNTS = [vouched(ACCOUNT, f"demo{number}") for number in range(3)]
EVERYBODY = [*PEOPLE, BROWSER, *ACCOUNTS]


@dataclass(frozen=True)
class Sighted:
    """A message; `minute` is when it was sent."""

    sender: tuple[Identifier, ...]
    minute: int


@dataclass(frozen=True)
class Guessed:
    """The matcher finds two names alike."""

    one: Identifier
    other: Identifier
    score: float


Event = Sighted | Guessed


@st.composite
def sightings(draw: st.DrawFn) -> Sighted:
    names = draw(st.lists(st.sampled_from([*PEOPLE, BROWSER]), min_size=1, max_size=3, unique=True))
    account = draw(st.lists(st.sampled_from(ACCOUNTS), max_size=1))
    return Sighted((*names, *account), draw(st.integers(1, 9)))


@st.composite
def guesses(draw: st.DrawFn) -> Guessed:
    one, other = draw(st.lists(st.sampled_from(EVERYBODY), min_size=2, max_size=2, unique=True))
    return Guessed(one, other, draw(st.sampled_from([0.9, 0.999])))


def histories(*, guessed: bool = True) -> st.SearchStrategy[list[Event]]:
    event: st.SearchStrategy[Event] = (
        st.one_of(sightings(), sightings(), guesses()) if guessed else sightings()
    )
    return st.lists(event, min_size=1, max_size=9)


@dataclass
class World:
    connection: sa.Connection
    graph: Graph
    clock: StandingClock = field(default_factory=StandingClock)

    @property
    def operations(self) -> Operations:
        return Operations(self.graph, VAULT, self.clock)

    def tell(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Sighted):
                self.see(event)
            else:
                self.guess(event)

    def see(self, event: Sighted, *claimed: Identifier) -> str:
        """Each name that opens a message has a conversation of its own."""
        seen_at = START - timedelta(days=1) + timedelta(minutes=event.minute)
        conversation_id = ConversationId(f"c-{event.sender[0].namespace}-{event.sender[0].value}")
        found = self.graph.observe(
            self.connection, DEMO, [*event.sender, *claimed], conversation_id=conversation_id, seen_at=seen_at
        )
        conversations.ensure(
            self.connection,
            conversation_id,
            tenant=DEMO,
            channel="x",
            account="main",
            recipient="x",
            now=START,
        )
        places.set_entrance(self.connection, DEMO, conversation_id, found.id)
        self.graph.list_conversation(self.connection, DEMO, conversation_id, found)
        return found.id

    def guess(self, event: Guessed) -> None:
        self.operations.link(
            self.connection, DEMO, self.id(event.one), self.id(event.other), actor="matcher", reason="alike",
            grounds=Grounds(Strength.LIKELY, event.score, evidence=f"m1:{event.score}", model_version="m1"),
        )  # fmt: skip

    def id(self, name: Identifier) -> str:
        return VAULT.lookup_key("identity", DEMO, "vouched", name.namespace, name.value)

    def labels(self) -> dict[str, tuple[str, str, bool]]:
        return {
            row.id: (row.customer_id, row.access_id, row.shared)
            for row in self.connection.execute(sa.select(records.identity_table))
        }

    def access(self) -> dict[str, str]:
        return {name: labels[1] for name, labels in self.labels().items()}

    def state(self) -> dict[str, object]:
        """Everything that a history decides, without what was done and taken back."""
        edge, talk = records.edge_table.c, conversations.conversation_table.c
        live = sa.select(edge.a, edge.b, edge.evidence, edge.at, edge.suppressed).where(
            edge.undone_by.is_(None), edge.split_by.is_(None)
        )
        apart = sa.select(records.apart_table.c.a, records.apart_table.c.b).where(
            records.apart_table.c.lifted_by.is_(None)
        )
        return {
            "labels": self.labels(),
            "edges": {tuple(row) for row in self.connection.execute(live)},
            "apart": {tuple(row) for row in self.connection.execute(apart)},
            "conversations": dict(self.connection.execute(sa.select(talk.id, talk.customer_id)).all()),
        }

    def count(self) -> list[int]:
        tables = (records.identity_table, records.edge_table, records.apart_table)
        return [
            self.connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in tables
        ]

    def check(self) -> None:
        """What must hold at any time."""
        labels = self.labels()
        accounts = {self.id(name) for name in ACCOUNTS}
        together: dict[str, set[str]] = {}
        for name, (customer, access, shared) in labels.items():
            together.setdefault(customer, set()).add(name)
            assert labels[access][0] == customer, "who may see something is one customer"
            assert not shared or (customer == name and access == name)
        for customer, members in together.items():
            assert customer in members
            assert len(members) <= self.graph.rules.members
            assert len(members & accounts) <= 1
        talk, entrance = conversations.conversation_table.c, places.entrance_table.c
        shown = self.connection.execute(
            sa.select(talk.customer_id, entrance.shown_identity_id).join_from(
                conversations.conversation_table, places.entrance_table, talk.id == entrance.conversation_id
            )
        )
        assert all(customer == labels[identity][0] for customer, identity in shown)


@contextmanager
def tellers(*, seen: bool = True) -> Iterator[Callable[[Rules], World]]:
    """Gives worlds, one after the other, on one database. `seen`: everybody was seen once, so late that it
    decides nothing; a guess needs names that are known."""
    revise.declare_tables()
    engine = sa.create_engine("sqlite://")
    engine.dialect.vault = VAULT  # type: ignore[attr-defined]  # read by Sealed
    with engine.connect() as connection:
        metadata.create_all(connection)
        if seen:
            World(connection, Graph(VAULT, StandingClock())).tell(
                [Sighted((name,), 99) for name in EVERYBODY]
            )
        connection.commit()

        def begin(rules: Rules) -> World:
            connection.rollback()
            clock = StandingClock()
            return World(connection, Graph(VAULT, clock, rules), clock)

        yield begin
    engine.dispose()
