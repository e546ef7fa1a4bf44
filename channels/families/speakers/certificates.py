"""Certificates that a platform names in its calls: fetched from its own place only, kept, and used to check signatures.

`alexa` and `dueros` let it fetch in `prepare` and ask it in `verify`. A certificate that is not known yet is waited for
within the call, because these platforms do not repeat a refused one; other calls go on meanwhile. That nobody can keep us
busy with invented addresses is seen to by the fixed host and folder, by a limit on time and size, by remembering failures,
and by a budget of fetches a minute.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import posixpath
import re
import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from foundation import errors

log = structlog.get_logger(__name__)

FETCH_SECONDS = 2.0
SIZE_LIMIT = 102_400
KEEP = timedelta(hours=24)
FORGET_FAILURE = timedelta(seconds=5)
BUDGET = 6
"""Fetches of unknown addresses a minute."""
KNOWN_LIMIT = 16
"""Addresses remembered; a platform uses one or two."""
_BLOCK = re.compile(b"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_PORTS = {"https": 443, "http": 80}

Fetch = Callable[[str], Awaitable[bytes]]
"""Raises `UpstreamUnavailable`."""
Chain = Sequence[x509.Certificate]


@dataclass(frozen=True, slots=True)
class _Kept:
    chain: Chain
    fetched_at: datetime


class Certificates:
    """`base` is scheme and host of the place, `folder` how its paths begin. Raises `NotAuthentic` with code
    `certificate_url` (not its place), `certificate_unknown` (could not be had)."""

    def __init__(self, base: str, folder: str, *, fetch: Fetch | None = None) -> None:
        self._base = base.rstrip("/")
        self._folder = folder
        self._fetch = fetch or download
        self._kept: dict[str, _Kept] = {}
        self._fetches: list[datetime] = []
        self._fetching: dict[str, asyncio.Lock] = {}

    async def prepare(self, address: str, now: datetime) -> None:
        """Fetches what is not known or a day old; who comes meanwhile for the same waits for it. One that cannot be fetched
        anew stays in use: its own dates, which are checked at each call, end it. Raises for an address elsewhere only."""
        url = self.normal(address)
        lock = self._fetching.setdefault(url, asyncio.Lock())
        try:
            async with lock:
                kept = self._kept.get(url)
                if kept is not None and now - kept.fetched_at < KEEP:
                    return
                before: Chain = kept.chain if kept is not None else ()
                if not before and not self._may_spend(now):
                    return
                chain = await self._fetched(url) or before
                self._keep(url, _Kept(chain, now if chain else now - KEEP + FORGET_FAILURE))
        finally:
            if not lock.locked():
                self._fetching.pop(url, None)

    def find(self, address: str, now: datetime) -> Chain:
        """The chain at this address, leaf first, as far as `prepare` has brought it."""
        kept = self._kept.get(self.normal(address))
        if kept is None or not kept.chain:
            raise _unknown()
        return kept.chain

    def normal(self, address: str) -> str:
        """The address without dot segments, query and default port, if it lies in the platform's place."""
        try:
            given, wanted = urlsplit(address), urlsplit(self._base)
            right = (
                (given.scheme, given.hostname) == (wanted.scheme, wanted.hostname)
                and (given.port or _PORTS[given.scheme]) == (wanted.port or _PORTS[wanted.scheme])
                and "@" not in given.netloc
            )
        except (ValueError, KeyError) as error:
            raise _elsewhere() from error
        path = posixpath.normpath(given.path)
        plain = path.isascii() and path.isprintable() and not set(path) & set("%\\ ")
        if not right or not plain or not path.startswith(self._folder):
            raise _elsewhere()
        return self._base + path

    def _may_spend(self, now: datetime) -> bool:
        """Renewing what proved to be a certificate costs nothing, so that strangers cannot prevent it."""
        self._fetches = [moment for moment in self._fetches if now - moment < timedelta(minutes=1)]
        if len(self._fetches) >= BUDGET:
            return False
        self._fetches.append(now)
        return True

    async def _fetched(self, url: str) -> Chain:
        try:
            return x509.load_pem_x509_certificates(await self._fetch(url))
        except (errors.UpstreamUnavailable, ValueError):
            log.warning("certificate cannot be had", host=urlsplit(url).hostname)
            return ()

    def _keep(self, url: str, kept: _Kept) -> None:
        self._kept.pop(url, None)
        while len(self._kept) >= KNOWN_LIMIT:
            empty = (one for one, other in self._kept.items() if not other.chain)
            self._kept.pop(next(empty, next(iter(self._kept))))
        self._kept[url] = kept


async def download(url: str) -> bytes:
    """Raises `UpstreamUnavailable`."""
    body = bytearray()
    try:
        async with (
            asyncio.timeout(FETCH_SECONDS),
            httpx.AsyncClient(timeout=FETCH_SECONDS, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", url) as response,
        ):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > SIZE_LIMIT:
                    raise errors.UpstreamUnavailable("The certificate is too large.")
            right = response.status_code == 200
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise errors.UpstreamUnavailable("The certificate cannot be fetched.") from error
    if not right:
        raise errors.UpstreamUnavailable("There is no certificate at this address.")
    return bytes(body)


def load_bundle(pem: bytes) -> Chain:
    """The public roots; one that the library does not take (an odd serial number) does not spoil the others."""
    found = []
    for block in _BLOCK.findall(pem):
        with warnings.catch_warnings(), contextlib.suppress(ValueError):
            warnings.simplefilter("ignore")
            found.append(x509.load_pem_x509_certificate(block))
    return found


def require_chain(chain: Chain, roots: Chain, name: str, now: datetime) -> None:
    """Valid now, issued for the host `name`, leads to one of the roots. Raises `NotAuthentic`."""
    try:
        policy = PolicyBuilder().store(Store(list(roots))).time(now.astimezone(UTC).replace(tzinfo=None))
        policy.build_server_verifier(x509.DNSName(name)).verify(chain[0], list(chain[1:]))
    except (VerificationError, ValueError, IndexError) as error:
        raise errors.NotAuthentic("The certificate is not trusted.", code="certificate_untrusted") from error


def require_signature(
    certificate: x509.Certificate, signature: str, body: bytes, digest: hashes.HashAlgorithm
) -> None:
    """RSA with PKCS #1 v1.5 padding over the body; `signature` is Base64. Raises `NotAuthentic`."""
    key = certificate.public_key()
    try:
        if not isinstance(key, rsa.RSAPublicKey):
            raise InvalidSignature
        signed = base64.b64decode(signature.encode("ascii"), validate=True)
        key.verify(signed, body, padding.PKCS1v15(), digest)
    except (InvalidSignature, ValueError, binascii.Error) as error:
        raise errors.NotAuthentic("The signature is wrong.", code="bad_signature") from error


def names_of(certificate: x509.Certificate) -> set[str]:
    """The hosts that a certificate is for, also by its older way of saying it."""
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    names = {str(attribute.value) for attribute in common}
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return names
    return names | set(alternative.get_values_for_type(x509.DNSName))


def covers(certificate: x509.Certificate, host: str) -> bool:
    """By name, or by a wildcard for its domain."""
    wildcard = f"*.{host.partition('.')[2]}"
    return any(name.lower() in (host.lower(), wildcard.lower()) for name in names_of(certificate))


def demo_authority(secret: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """The demo's own root: `secret` (64 hex digits) makes the same key for the server, which trusts it, and for the
    simulator, which signs with it."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    key = ec.derive_private_key(int(secret, 16) % (order - 1) + 1, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Demo authority")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(datetime(2020, 1, 1))  # noqa: DTZ001  # the builder takes it as UTC
        .not_valid_after(datetime(2100, 1, 1))  # noqa: DTZ001
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return key, builder.sign(key, hashes.SHA256())


def _elsewhere() -> errors.NotAuthentic:
    return errors.NotAuthentic("The certificate is not at the platform's own place.", code="certificate_url")


def _unknown() -> errors.NotAuthentic:
    return errors.NotAuthentic("The certificate cannot be had at the moment.", code="certificate_unknown")
