"""What only Teams does: signed tokens with rotating keys, addresses that come with the call, mentions, cards, threads."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import jwt as pyjwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import RSAKey
from pydantic import SecretStr, ValidationError

from channels import degrade, promises
from channels.adapters import teams
from channels.adapters.teams import codec, demo
from channels.adapters.teams.keys import PAUSE, KeyRing
from channels.adapters.teams.settings import SIMULATOR, TeamsSettings
from channels.contract import Surroundings, Webhook
from channels.platforms.payloads import is_at
from foundation import errors
from foundation.live import Hub
from foundation.messages import (
    Attachment,
    Choice,
    ConversationId,
    InboundMessage,
    MessageId,
    OutboundMessage,
    Reply,
    TenantId,
)
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate.chat.teams import PICTURE
from service.simulate.contract import Call
from tests.conftest import StandingClock
from tests.fakes import faulty
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.teams import TeamsSpecimen

READER = codec.Reader(TenantId("demo"), "main", "app-1")
CONVERSATION = "19:abc@thread.tacv2;messageid=1789999999000"


@pytest.fixture
def surroundings(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)


@pytest.fixture
async def bot(surroundings: Surroundings) -> AsyncIterator[TeamsSpecimen]:
    specimen = TeamsSpecimen(surroundings)
    yield specimen
    await specimen.channel.close()


def webhook(call: Call, at: datetime = NOW) -> Webhook:
    return Webhook("POST", call.query, call.headers, call.body, at)


def recorded(bot: TeamsSpecimen, name: str) -> Webhook:
    (path,) = [path for path in bot.recordings() if path.stem == name]
    stored = json.loads(path.read_text(encoding="utf-8"))
    return Webhook(
        "POST",
        {},
        stored["headers"],
        stored["body"].encode(),
        datetime.fromtimestamp(stored["received_at"], UTC),
    )


def read(**activity: Any) -> list[InboundMessage]:
    whole = {
        "type": "message", "id": "1", "channelId": "msteams", "from": {"id": "29:a"}, "recipient": {"id": "28:app-1"},
        "conversation": {"id": "a:1"}, **activity,
    }  # fmt: skip
    return codec.read(json.dumps(whole).encode(), READER, NOW)


async def send(specimen: TeamsSpecimen, reply: Reply, **context: str) -> str:
    message = OutboundMessage(
        tenant=TenantId("demo"), channel="teams", account="main", conversation_id=ConversationId("c1"),
        message_id=MessageId("m1"), recipient=CUSTOMER, role="bot", reply=reply, reply_context=context,
    )  # fmt: skip
    (part,) = degrade.fit(message, specimen.channel.capabilities)
    return await specimen.channel.send(part, idempotency_key="k")


@pytest.mark.parametrize(
    "address", ["https://smba.trafficmanager.net/amer", "https://smba.trafficmanager.net/amer/"]
)
def test_token_of_the_platform_is_taken_when_its_address_is_the_bodys(
    bot: TeamsSpecimen, address: str
) -> None:
    call = recorded(bot, "vector_amer")
    body = json.dumps(json.loads(call.body) | {"serviceUrl": address}).encode()
    bot.channel.verify(replace(call, body=body))
    bot.channel.verify(replace(call, body=body, received_at=datetime(2099, 12, 31, tzinfo=UTC)))


def test_vector_says_what_an_independent_reader_finds_in_it(bot: TeamsSpecimen) -> None:
    key = pyjwt.PyJWK(bot.recorded_keys[0] | {"alg": "RS256"}).key
    token = recorded(bot, "vector_amer").headers["authorization"].removeprefix("Bearer ")
    claims = pyjwt.decode(token, key, algorithms=["RS256"], audience=bot.settings.app_id)
    assert claims["serviceurl"] == "https://smba.trafficmanager.net/amer/"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"serviceUrl": "https://smba.trafficmanager.net/emea/"}, "wrong_service_url"),
        ({"serviceUrl": ""}, "wrong_service_url"),
        ({"channelId": "directline"}, "not_endorsed"),
        ({"channelId": ""}, "not_endorsed"),
    ],
)
def test_vector_is_refused_when_the_body_says_otherwise(
    bot: TeamsSpecimen, change: dict[str, str], code: str
) -> None:
    call = recorded(bot, "vector_amer")
    with pytest.raises(errors.NotAuthentic) as refused:
        bot.channel.verify(replace(call, body=json.dumps(json.loads(call.body) | change).encode()))
    assert refused.value.code == code


def test_vector_is_refused_when_a_letter_in_its_middle_is_changed(bot: TeamsSpecimen) -> None:
    call = recorded(bot, "vector_amer")
    token = call.headers["authorization"]
    middle = token.rindex(".") + 100
    bent = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    with pytest.raises(errors.NotAuthentic):
        bot.channel.verify(replace(call, headers={"authorization": bent}))


@pytest.mark.parametrize(
    ("claims", "taken"),
    [
        ({"exp": -299}, True), ({"exp": -302}, False), ({"nbf": 299}, True), ({"nbf": 302}, False),
        ({"exp": None}, False), ({"nbf": None}, True), ({"serviceurl": None}, False), ({"aud": None}, False),
        ({"aud": "api://{app}"}, True), ({"aud": "api://botid-{app}"}, True), ({"aud": "{APP}"}, True),
        ({"aud": ["{app}"]}, False), ({"iss": "https://api.botframework.us"}, False), ({"exp": True}, False),
    ],
)  # fmt: skip
def test_claims_decide(bot: TeamsSpecimen, claims: dict[str, Any], taken: bool) -> None:
    app = bot.settings.app_id

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{app}", app).replace("{APP}", app.upper())
        return int(NOW.timestamp()) + value if type(value) is int else value

    call = webhook(
        bot.platform.signed(bot.text_call("hi", 1).body, **{k: filled(v) for k, v in claims.items()})
    )
    if taken:
        bot.channel.verify(call)
        return
    with pytest.raises(errors.NotAuthentic):
        bot.channel.verify(call)


def test_token_without_an_address_passes_only_where_the_account_says_so(
    bot: TeamsSpecimen, surroundings: Surroundings
) -> None:
    settings = bot.settings.model_copy(update={"require_service_url": False})
    lenient = teams.channel.TeamsChannel(settings, surroundings, transport=bot.transport)
    lenient.keys.take(demo.key_document(surroundings.vault))
    body = bot.text_call("hi", 1).body
    lenient.verify(webhook(bot.platform.signed(body, serviceurl=None)))
    foreign = json.dumps(json.loads(body) | {"serviceUrl": "https://evil.example"}).encode()
    with pytest.raises(errors.NotAuthentic):
        lenient.verify(webhook(bot.platform.signed(foreign, serviceurl=None)))


def document(*names: str, key: RSAKey) -> dict[str, Any]:
    public = key.as_dict(private=False)
    return {"keys": [{**public, "kid": name, "endorsements": ["msteams"]} for name in names]}


async def test_keys_are_fetched_once_an_hour_however_many_unknown_ids_come(clock: StandingClock) -> None:
    key, fetches = RSAKey.generate_key(2048), 0
    published = document("old", key=key)

    async def fetch() -> dict[str, Any]:
        nonlocal fetches
        fetches += 1
        return published

    ring = KeyRing(fetch, clock)
    assert await ring.refresh()
    published = document("old", "new", key=key)
    for _ in range(50):
        assert ring.find("new") is None
        assert not await ring.refresh()
    assert fetches == 1
    clock.now += PAUSE
    assert await ring.refresh()
    assert ring.find("new") is not None
    assert ring.find("old") is not None


async def test_unknown_key_is_fetched_beside_the_door(clock: StandingClock) -> None:
    key, fetched = RSAKey.generate_key(2048), asyncio.Event()
    published = document("old", key=key)

    async def fetch() -> dict[str, Any]:
        fetched.set()
        return published

    ring = KeyRing(fetch, clock)
    await ring.open()
    published = document("old", "new", key=key)
    fetched.clear()
    clock.now += PAUSE
    assert ring.find("new") is None
    await asyncio.wait_for(fetched.wait(), 5)
    await ring.close()
    assert ring.find("new") is not None


async def test_known_keys_stay_when_the_key_service_is_away(clock: StandingClock) -> None:
    answers: list[Any] = [
        document("k", key=RSAKey.generate_key(2048)),
        None,
        {},
        {"keys": [{"kid": "x", "kty": "EC"}]},
    ]

    async def fetch() -> dict[str, Any]:
        found: dict[str, Any] | None = answers.pop(0)
        if found is None:
            raise errors.UpstreamUnavailable("away")
        return found

    ring = KeyRing(fetch, clock)
    assert await ring.refresh()
    for _ in range(3):
        clock.now += timedelta(days=1)
        assert not await ring.refresh()
        assert ring.find("k") is not None


async def test_channel_opens_with_the_keys_of_the_service_and_without_it(
    bot: TeamsSpecimen, surroundings: Surroundings
) -> None:
    channel = teams.channel.TeamsChannel(
        bot.settings.or_demo(surroundings.vault), surroundings, transport=bot.transport
    )
    await channel.open()
    channel.verify(bot.text_call("hi", 1))
    await channel.close()
    bot.transport.next_call("/keys", faulty.status(500))
    away = teams.channel.TeamsChannel(
        bot.settings.or_demo(surroundings.vault), surroundings, transport=bot.transport
    )
    await away.open()
    with pytest.raises(errors.NotAuthentic) as refused:
        away.verify(bot.text_call("hi", 1))
    assert refused.value.code == "unknown_key"
    await away.close()


async def test_demo_knows_its_key_before_anything_runs(surroundings: Surroundings) -> None:
    channel = teams.SPEC.build(TeamsSettings(), surroundings)
    await channel.open()
    specimen = TeamsSpecimen(surroundings)
    specimen.platform.account = TeamsSettings().or_demo(surroundings.vault)
    specimen.platform.service_url = f"{SIMULATOR}/"
    call = specimen.platform.say("hi", user="guest")
    channel.verify(webhook(call))
    with pytest.raises(errors.NotAuthentic):
        channel.verify(webhook(specimen.platform.forge(call)))
    await channel.close()


def test_key_of_the_demo_belongs_to_the_master_key() -> None:
    here, there = demo.key_document(Vault(b"a" * 32)), demo.key_document(Vault(b"b" * 32))
    assert here == demo.key_document(Vault(b"a" * 32))
    assert here["keys"][0]["n"] != there["keys"][0]["n"]
    assert "d" not in here["keys"][0]


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://smba.trafficmanager.net/apac/", True), ("https://europe.botframework.com", True),
        ("http://smba.trafficmanager.net/", False), ("https://botframework.com", False),
        ("https://evilbotframework.com", False), ("https://smba.trafficmanager.net.evil.example", False),
        ("https://smba.trafficmanager.net@evil.example/", False), ("https://smba.trafficmanager.net:8443/", False),
        ("https://evil.example\\@smba.trafficmanager.net/", False), ("https://evil.example\\.botframework.com", False), ("https://[", False), ("", False),
    ],
)  # fmt: skip
def test_only_the_platforms_hosts_get_our_token(url: str, taken: bool) -> None:
    assert is_at(url, TeamsSettings().service_hosts) is taken
    assert TeamsSettings().serves(url) is taken


async def test_stored_address_is_checked_again_before_the_token_leaves(bot: TeamsSpecimen) -> None:
    with pytest.raises(errors.UpstreamRefused) as refused:
        await send(bot, Reply(text="hi"), service_url="https://evil.example", conversation="a:1")
    assert refused.value.code == "teams_foreign_service_url"
    assert bot.transport.requests == []


@pytest.mark.parametrize(
    ("text", "entities", "shown"),
    [
        ("<at>Bot</at> 你好", [("28:app-1", "Bot", "<at>Bot</at>")], "你好"),
        ("你好 <at>Renamed</at>", [("28:app-1", "Registered", "<at>Renamed</at>")], "你好"),
        (
            "<at>Bot</at> ask <at>Li</at>",
            [("28:app-1", "Bot", "<at>Bot</at>"), ("29:b", "Li Lei", "<at>Li</at>")],
            "ask @Li Lei",
        ),
        ("<at>Bot</at> typed by hand", [], "<at>Bot</at> typed by hand"),
        (" kept ", [], " kept "),
    ],
)
def test_mention_is_taken_out_by_its_entity(
    text: str, entities: list[tuple[str, str, str]], shown: str
) -> None:
    named = [
        {"type": "mention", "mentioned": {"id": who, "name": name}, "text": spot}
        for who, name, spot in entities
    ]
    assert read(text=text, entities=named)[0].text == shown


def test_id_is_told_apart_by_conversation_and_by_what_happened() -> None:
    ids = [
        read(**one)[0].message_id
        for one in (
            {}, {"conversation": {"id": "a:2"}}, {"id": "2"}, {"from": {"id": "29:b"}},
            {"type": "messageUpdate"}, {"type": "messageDelete"},
        )
    ]  # fmt: skip
    assert len(set(ids)) == 6
    assert read(id=None)[0].message_id == read(id=None)[0].message_id


@pytest.mark.parametrize(
    "activity",
    [
        {"from": {"id": "28:other"}},
        {"from": {"id": "28:app-1"}},
        {"from": {"id": "29:x", "role": "bot"}},
        {"type": "typing"},
        {"from": {}},
    ],
)
def test_bots_and_mere_sights_are_not_read(activity: dict[str, Any]) -> None:
    assert read(**activity) == []


def test_person_has_the_directorys_name_as_well() -> None:
    (found,) = read(
        **{"from": {"id": "29:a", "aadObjectId": "d-1"}, "channelData": {"tenant": {"id": "t-1"}}}
    )
    assert [(one.namespace, one.value) for one in found.sender] == [
        ("teams:app-1", "29:a"),
        ("entra:t-1", "d-1"),
    ]


def test_attachments_are_told_from_copies_and_cards() -> None:
    def card(kind: str, **content: Any) -> dict[str, Any]:
        return {"contentType": kind, **content}

    (found,) = read(
        attachments=[
            card("text/html", content="<p>"), card("application/vnd.microsoft.card.adaptive", contentUrl="x"),
            card("messageReference", content={}), card("image/png", contentUrl="https://a/b", name="b.png"),
            card(codec.FILE_CARD, name="c.MP4", content={"downloadUrl": "https://d/e"}),
        ]
    )  # fmt: skip
    assert [(one.kind, one.url) for one in found.attachments] == [
        ("image", "https://a/b"),
        ("video", "https://d/e"),
    ]
    assert found.kind == "image"


def test_invoke_gets_json(bot: TeamsSpecimen) -> None:
    answer = bot.channel.acknowledge(recorded(bot, "invoke"))
    assert (answer.body, answer.media_type) == (b"{}", "application/json")


async def test_reply_goes_to_the_thread_it_came_from(bot: TeamsSpecimen) -> None:
    bot.platform._conversations[CONVERSATION] = CUSTOMER
    sent = await send(
        bot,
        Reply(text="a\nb <x>"),
        service_url=bot.platform.service_url,
        conversation=CONVERSATION,
        activity="17",
        bot="28:b",
    )
    path = bot.transport.requests[-1].url.raw_path.decode()
    assert re.fullmatch(r"/v3/conversations/[^/;@:]+/activities/17", path)
    assert CONVERSATION in unquote(path)
    body = bot.platform.calls[-1]
    assert (body["text"], body["textFormat"], body["replyToId"], body["from"]) == (
        "a\nb <x>",
        "plain",
        "17",
        {"id": "28:b"},
    )
    assert sent.startswith("1:")


async def test_button_shows_its_label_and_comes_back_as_its_value(bot: TeamsSpecimen) -> None:
    await send(bot, Reply(text="请选择", choices=(Choice(label="退货", value="return"),)))
    (found,) = bot.channel.read(webhook(bot.platform.say("退货", user=CUSTOMER)))
    assert found.text == "return"


async def test_token_is_renewed_once_when_it_is_refused_and_shared_otherwise(bot: TeamsSpecimen) -> None:
    await send(bot, Reply(text="1"))
    await send(bot, Reply(text="2"))
    assert bot.platform.tokens_issued == 1
    bot.platform.withdraw_token()
    await send(bot, Reply(text="3"))
    assert bot.platform.tokens_issued == 2
    assert bot.seen() == ["1", "2", "3"]


async def test_wrong_secret_is_named(bot: TeamsSpecimen, surroundings: Surroundings) -> None:
    settings = bot.settings.or_demo(surroundings.vault).model_copy(update={"app_secret": SecretStr("wrong")})
    channel = teams.channel.TeamsChannel(settings, surroundings, transport=bot.transport)
    assert isinstance(channel, promises.Testing)
    with pytest.raises(errors.UpstreamRefused) as refused:
        await channel.test()
    assert refused.value.code == "teams_credentials"
    assert isinstance(bot.channel, promises.Testing)
    assert await bot.channel.test()


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (403, errors.UpstreamRefused, "teams_blocked"), (404, errors.UpstreamRefused, "teams_gone"),
        (412, errors.UpstreamUnavailable, "teams_conflict"), (413, errors.UnsupportedContent, "teams_too_large"),
        (502, errors.UpstreamUnavailable, "teams_http_502"),
    ],
)  # fmt: skip
async def test_refusal_says_what_became_of_the_conversation(
    bot: TeamsSpecimen, status: int, kind: type[errors.ServiceError], code: str
) -> None:
    bot.transport.next_call("/activities", faulty.status(status))
    with pytest.raises(kind) as refused:
        await send(bot, Reply(text="hi"))
    assert refused.value.code == code


async def test_media_are_fetched_from_known_places_and_the_token_stays_at_the_connector(
    bot: TeamsSpecimen,
) -> None:
    assert isinstance(bot.channel, promises.Fetching)
    picture = Attachment(kind="image", url=f"{bot.settings.api_base}/v3/attachments/1")
    assert (await bot.channel.fetch(picture)).content == PICTURE
    bot.transport.next_call("/download", faulty.status(200))
    await bot.channel.fetch(Attachment(kind="file", url="https://shop.sharepoint.com/download"))
    assert "authorization" not in bot.transport.requests[-1].headers
    for url in (
        "https://evil.example/x",
        "http://169.254.169.254/latest",
        "http://shop.sharepoint.com/x",
        "",
        "http://[",
    ):
        with pytest.raises(errors.UpstreamRefused):
            await bot.channel.fetch(Attachment(kind="file", url=url))


def test_half_a_bot_is_refused_and_none_is_the_demo(vault: Vault) -> None:
    with pytest.raises(ValidationError, match="tenant_id"):
        TeamsSettings(app_id="a", app_secret=SecretStr("b"))
    found = TeamsSettings().or_demo(vault)
    assert (found.api_base, found.login_base, found.keys_url) == (
        SIMULATOR,
        SIMULATOR,
        f"{SIMULATOR}/v1/.well-known/keys",
    )
    real = TeamsSettings(app_id="a", app_secret=SecretStr("b"), tenant_id="c")
    assert real.or_demo(vault) == real


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "name", "text", "mentioned", "type", "contentType", "contentUrl", "content"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)
NAMES = [
    "text",
    "timestamp",
    "entities",
    "attachments",
    "value",
    "recipient",
    "membersAdded",
    "channelData",
    "id",
    "action",
]


@given(
    st.sampled_from(["message", "conversationUpdate", "invoke", "event", "odd", ""]),
    st.dictionaries(st.sampled_from(NAMES), JSON),
)
def test_reading_raises_only_what_it_says(kind: str, activity: dict[str, Any]) -> None:
    try:
        read(**{**activity, "type": kind})
    except errors.UnreadablePayload:
        return


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    codec.kind_of(body)
    try:
        codec.read(body, READER, NOW)
    except errors.UnreadablePayload:
        return
