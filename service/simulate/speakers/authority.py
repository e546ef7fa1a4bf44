"""The demo's certificates: a leaf for a platform that signs with RSA, from the authority that the server trusts in the demo."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from channels.families.speakers import certificates


class Signer:
    """`secret` is the demo authority's; valid for a day before and after `now`."""

    def __init__(self, secret: str, host: str, now: datetime, *, days: int = 1) -> None:
        issuer, self.root = certificates.demo_authority(secret)
        self._key = rsa.generate_private_key(65537, 2048)
        self.leaf = _leaf(issuer, self.root, self._key.public_key(), host, now, timedelta(days=days))

    @property
    def pem(self) -> bytes:
        return b"".join(one.public_bytes(Encoding.PEM) for one in (self.leaf, self.root))

    def sign(self, body: bytes, digest: hashes.HashAlgorithm) -> str:
        return base64.b64encode(self._key.sign(body, padding.PKCS1v15(), digest)).decode()


def _leaf(
    issuer: ec.EllipticCurvePrivateKey, root: x509.Certificate, key: rsa.RSAPublicKey, host: str, now: datetime,
    life: timedelta,
) -> x509.Certificate:  # fmt: skip
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    builder = (
        x509.CertificateBuilder(root.subject, subject, key, x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    return builder.sign(issuer, hashes.SHA256())
