"""Certificates by address: from their own place only, fetched seldom, and refused when anything about them is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from channels.families.speakers import certificates
from channels.families.speakers.certificates import BUDGET, Certificates, Chain
from foundation import errors
from service.simulate.speakers.authority import Signer
from tests.fakes.specimens.contract import NOW, at_once

HOST = "echo-api.amazon.com"
SECRET, OTHER = "a1" * 32, "b2" * 32
URL = "https://s3.amazonaws.com/echo.api/echo-api-cert.pem"


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer(SECRET, HOST, NOW)


@dataclass
class Shop:
    pem: bytes
    asked: list[str] = field(default_factory=list)
    open: bool = True

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if not self.open:
            raise errors.UpstreamUnavailable("closed")
        return self.pem


@pytest.fixture
def shop(signer: Signer) -> Shop:
    return Shop(signer.pem)


@pytest.fixture
def known(shop: Shop) -> Certificates:
    return Certificates("https://s3.amazonaws.com", "/echo.api/", fetch=shop.fetch)


def find(known: Certificates, address: str, now: datetime) -> Chain:
    at_once(known.prepare(address, now))
    return known.find(address, now)


@pytest.mark.parametrize(
    "address",
    [
        URL,
        "https://s3.amazonaws.com:443/echo.api/echo-api-cert.pem",
        "https://s3.amazonaws.com/echo.api/../echo.api/echo-api-cert.pem",
        "HTTPS://S3.AmazonAWS.com/echo.api/echo-api-cert.pem",
        f"{URL}?ignored=1#too",
    ],
)
def test_address_in_the_place_is_taken_as_one(known: Certificates, address: str) -> None:
    assert known.normal(address) == URL


@pytest.mark.parametrize(
    "address",
    [
        "http://s3.amazonaws.com/echo.api/echo-api-cert.pem",
        "https://notamazon.com/echo.api/echo-api-cert.pem",
        "https://s3.amazonaws.com/EcHo.aPi/echo-api-cert.pem",
        "https://s3.amazonaws.com/invalid.path/echo-api-cert.pem",
        "https://s3.amazonaws.com:563/echo.api/echo-api-cert.pem",
        "https://s3.amazonaws.com/echo.api/../other/cert.pem",
        "https://s3.amazonaws.com/echo.api/%2e%2e/other/cert.pem",
        "https://s3.amazonaws.com@evil.example.com/echo.api/cert.pem",
        "https://evil@s3.amazonaws.com/echo.api/cert.pem",
        "https://s3.amazonaws.com.evil.example.com/echo.api/cert.pem",
        "https://s3.amazonaws.com:port/echo.api/cert.pem",
        "https://s3.amazonaws.com/echo.api/证书.pem",
        "https://[/echo.api/",
        "file:///echo.api/cert.pem",
        "",
    ],
)
def test_address_elsewhere_is_refused_and_not_asked(known: Certificates, shop: Shop, address: str) -> None:
    with pytest.raises(errors.NotAuthentic) as refused:
        find(known, address, NOW)
    assert refused.value.code == "certificate_url"
    assert shop.asked == []


def test_certificate_is_fetched_once_a_day(known: Certificates, shop: Shop) -> None:
    for hours in (0, 1, 23):
        find(known, URL, NOW + timedelta(hours=hours))
    assert len(shop.asked) == 1
    find(known, URL, NOW + timedelta(hours=25))
    assert len(shop.asked) == 2


def test_known_certificate_stays_in_use_when_its_place_is_away(known: Certificates, shop: Shop) -> None:
    find(known, URL, NOW)
    shop.open = False
    assert find(known, URL, NOW + timedelta(hours=25))
    assert find(known, URL, NOW + timedelta(hours=25, seconds=5))
    assert len(shop.asked) == 2


def test_failure_is_remembered_for_some_seconds(known: Certificates, shop: Shop) -> None:
    shop.open = False
    for _ in range(3):
        with pytest.raises(errors.NotAuthentic) as refused:
            find(known, URL, NOW)
        assert refused.value.code == "certificate_unknown"
    assert len(shop.asked) == 1
    shop.open = True
    assert find(known, URL, NOW + timedelta(seconds=5))


def test_invented_addresses_are_asked_only_within_the_budget(known: Certificates, shop: Shop) -> None:
    find(known, URL, NOW)
    shop.open = False
    for number in range(50):
        with pytest.raises(errors.NotAuthentic):
            find(known, f"https://s3.amazonaws.com/echo.api/{number}.pem", NOW)
    assert len(shop.asked) == BUDGET
    assert find(known, URL, NOW)


def test_what_is_no_certificate_is_refused(known: Certificates, shop: Shop) -> None:
    shop.pem = b"<html>not here</html>"
    with pytest.raises(errors.NotAuthentic):
        find(known, URL, NOW)


async def test_calls_at_once_wait_for_one_fetch_and_hold_up_nobody_else(signer: Signer) -> None:
    asked, opened = 0, asyncio.Event()

    async def fetch(_url: str) -> bytes:
        nonlocal asked
        asked += 1
        await opened.wait()
        return signer.pem

    known = Certificates("https://s3.amazonaws.com", "/echo.api/", fetch=fetch)
    calls = [asyncio.create_task(known.prepare(URL, NOW)) for _ in range(5)]
    while not asked:
        await asyncio.sleep(0)
    with pytest.raises(errors.NotAuthentic):
        known.find(URL, NOW)
    opened.set()
    await asyncio.gather(*calls)
    assert (asked, bool(known.find(URL, NOW))) == (1, True)


async def test_call_that_goes_away_leaves_the_fetch_to_the_next(signer: Signer) -> None:
    begun, opened = asyncio.Event(), asyncio.Event()

    async def fetch(_url: str) -> bytes:
        begun.set()
        await opened.wait()
        return signer.pem

    known = Certificates("https://s3.amazonaws.com", "/echo.api/", fetch=fetch)
    first, second = (asyncio.create_task(known.prepare(URL, NOW)) for _ in range(2))
    await begun.wait()
    first.cancel()
    opened.set()
    await second
    assert known.find(URL, NOW)


async def test_download_has_an_answer_for_an_address_where_nobody_is() -> None:
    with pytest.raises(errors.UpstreamUnavailable):
        await certificates.download("http://127.0.0.1:9/echo.api/cert.pem")


def test_chain_passes_when_all_is_right(signer: Signer) -> None:
    certificates.require_chain([signer.leaf, signer.root], [signer.root], HOST, NOW)
    certificates.require_chain([signer.leaf], [signer.root], HOST, NOW)


WRONG: dict[str, Callable[[Signer], tuple[list[x509.Certificate], str, timedelta]]] = {
    "unknown root": lambda signer: ([Signer(OTHER, HOST, NOW).leaf], HOST, timedelta()),
    "other host": lambda signer: ([signer.leaf], "echo-api.evil.example.com", timedelta()),
    "expired": lambda signer: ([signer.leaf], HOST, timedelta(days=2)),
    "not yet valid": lambda signer: ([signer.leaf], HOST, timedelta(days=-2)),
    "nothing": lambda signer: ([], HOST, timedelta()),
    "root alone": lambda signer: ([signer.root], HOST, timedelta()),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_chain_is_refused_when_one_thing_is_wrong(signer: Signer, name: str) -> None:
    chain, host, later = WRONG[name](signer)
    with pytest.raises(errors.NotAuthentic):
        certificates.require_chain(chain, [signer.root], host, NOW + later)


@pytest.mark.parametrize("signature", ["", "AAAA", "!", "签", "\udcff", "=" * 400])
def test_hostile_signature_is_refused_by_name(signer: Signer, signature: str) -> None:
    with pytest.raises(errors.NotAuthentic):
        certificates.require_signature(signer.leaf, signature, b"{}", hashes.SHA256())
    with pytest.raises(errors.NotAuthentic):
        certificates.require_signature(signer.root, signature, b"{}", hashes.SHA256())


def test_authority_is_the_same_on_both_sides_and_nobody_elses() -> None:
    keys = [
        certificates.demo_authority(secret)[0].private_numbers().private_value
        for secret in (SECRET, SECRET, OTHER)
    ]
    assert keys[0] == keys[1] != keys[2]


def test_known_certificate_is_renewed_though_strangers_used_up_the_budget(
    known: Certificates, shop: Shop
) -> None:
    find(known, URL, NOW)
    later = NOW + timedelta(hours=25)
    for number in range(BUDGET + 1):
        shop.open = False
        with pytest.raises(errors.NotAuthentic):
            find(known, f"https://s3.amazonaws.com/echo.api/{number}.pem", later)
    shop.open = True
    assert find(known, URL, later)
    assert shop.asked[-1] == URL
