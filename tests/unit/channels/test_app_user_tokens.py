"""User tokens of the shop: which keys check what, how they change, and every way in which a token can be wrong."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from pydantic import ValidationError

from channels.adapters.app import user_tokens
from channels.adapters.app.settings import AppSettings
from channels.adapters.app.user_tokens import Rules
from foundation import errors
from foundation.security import Vault

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
SECRET, OTHER = "the secret of the shop: 32 letters", "the secret of someone: 32 letters"
EC, RSA = ECKey.generate_key("P-256"), RSAKey.generate_key(2048)
SMALL = (
    rsa.generate_private_key(65_537, 1_024)
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
PUBLIC = f"ec={EC.as_pem(private=False).decode()}\nrsa={RSA.as_pem(private=False).decode()}"
KEYS = user_tokens.read_keys(f"k1={SECRET}, k2={OTHER}", PUBLIC)
RULES = Rules("huiliu", "", timedelta(hours=24), subject_is_account=True)


def token(
    key: OctKey | ECKey | RSAKey | None = None, *, alg: str = "HS256", head: dict[str, Any] | None = None, **claims: Any
) -> str:  # fmt: skip
    content = {"aud": "huiliu", "sub": "lin", "iat": AT, "exp": AT + 3600, **claims}
    return jwt.encode(
        {"alg": alg, "kid": "k1", **(head or {})},
        {name: value for name, value in content.items() if value is not None},
        key or OctKey.import_key(SECRET.encode()),
        algorithms=[alg],
    )


def raw(head: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(head).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def check(given: str, rules: Rules = RULES) -> user_tokens.User:
    return user_tokens.check(given, KEYS, rules, NOW)


def refusal(given: str, rules: Rules = RULES) -> str:
    with pytest.raises(errors.NotAuthentic) as refused:
        check(given, rules)
    assert len(refused.value.public_text) > 20
    return refused.value.code


@pytest.mark.parametrize(
    ("key", "alg", "kid"),
    [(OctKey.import_key(SECRET.encode()), "HS256", "k1"), (OctKey.import_key(OTHER.encode()), "HS256", "k2"),
     (EC, "ES256", "ec"), (RSA, "RS256", "rsa")],
)  # fmt: skip
def test_token_of_each_key_is_taken(key: OctKey | ECKey | RSAKey, alg: str, kid: str) -> None:
    user = check(token(key, alg=alg, head={"kid": kid}))
    assert (user.subject, user.account, user.until) == ("lin", "lin", NOW + timedelta(hours=1))


def test_keys_of_a_jwks_document_are_taken() -> None:
    document = {"keys": [{**EC.as_dict(private=False), "kid": "e1"}, {**RSA.as_dict(private=False), "kid": "r1"}]}  # fmt: skip
    keys = user_tokens.read_keys("", json.dumps(document))
    assert {name: key.algorithm for name, key in keys.items()} == {"e1": "ES256", "r1": "RS256"}
    given = token(EC, alg="ES256", head={"kid": "e1"})
    assert user_tokens.check(given, keys, RULES, NOW).subject == "lin"


WRONG: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "shop"},
    "no audience": {"aud": None},
    "no user": {"sub": None},
    "empty user": {"sub": ""},
    "blank user": {"sub": "  "},
    "number for a user": {"sub": 7},
    "long user": {"sub": "x" * 201},
    "hostile user": {"sub": "a\u0000b"},
    "turned user": {"sub": "a\u202eb"},
    "never runs out": {"exp": None},
    "runs out at words": {"exp": "tomorrow"},
    "runs out at true": {"exp": True},
    "runs out at no number": {"exp": float("nan")},
    "runs out at the end of time": {"exp": 1e300},
    "valid too long": {"exp": AT + 86_401},
    "valid too long from long ago": {"iat": AT - 86_000, "exp": AT + 3600},
    "never issued": {"iat": None},
    "issued in an hour": {"iat": AT + 3600, "exp": AT + 7200},
    "not valid before an hour": {"nbf": AT + 3600},
    "valid from words": {"nbf": "soon"},
    "account is a number": {"account": 5},
    "account is empty": {"account": ""},
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_token_with_a_wrong_claim_is_refused(name: str) -> None:
    assert refusal(token(**WRONG[name])) == "user_token_invalid"


def test_token_that_ran_out_is_told_apart() -> None:
    assert refusal(token(exp=AT, iat=AT - 60)) == "user_token_expired"


def test_clock_of_the_shop_may_be_a_little_ahead() -> None:
    assert check(token(iat=AT + 50, exp=AT + 50 + 86_400)).subject == "lin"


CLAIMS = {"aud": "huiliu", "sub": "lin", "iat": AT, "exp": AT + 60}


def confused(kid: str, key: ECKey | RSAKey) -> str:
    """Signed with the public key's own bytes as the secret."""
    signed = raw({"alg": "HS256", "kid": kid}, CLAIMS).rpartition(".")[0]
    digest = hmac.digest(key.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


FORGED: dict[str, str] = {
    "none": raw({"alg": "none", "kid": "k1"}, CLAIMS),
    "None": raw({"alg": "None", "kid": "ec"}, CLAIMS),
    "no algorithm": raw({"kid": "k1"}, CLAIMS),
    "another secret": token(OctKey.import_key(OTHER.encode())),
    "public key as a secret": confused("ec", EC),
    "HS256 for an RSA key": confused("rsa", RSA),
    "HS512 with the right secret": token(alg="HS512"),
    "RS256 for a secret": token(RSA, alg="RS256"),
    "PS256 for an RSA key": token(RSA, alg="PS256", head={"kid": "rsa"}),
    "unknown critical part": raw({"alg": "HS256", "kid": "k1", "crit": ["x"], "x": 1}, CLAIMS, b"y" * 32),
    "key of its own": token(EC, alg="ES256", head={"kid": "rsa", "jwk": EC.as_dict(private=False)}),
    "no key named": raw({"alg": "HS256"}, CLAIMS),
    "number for a key": raw({"alg": "HS256", "kid": 1}, CLAIMS),
    "list of claims": raw({"alg": "HS256", "kid": "k1"}, [1]),  # type: ignore[arg-type]
    "no token": "hello",
    "dots": "..",
    "not ASCII": "é.é.é",
    "deep": raw({"alg": "HS256", "kid": "k1"}, CLAIMS).replace(".", "." + "W" * 3000, 1),
    "long": "x" * 9_000,
    "cut": token()[:-2],
}


@pytest.mark.parametrize("name", sorted(FORGED))
def test_forged_token_is_refused(name: str) -> None:
    assert refusal(FORGED[name]) == "user_token_invalid"


def test_token_of_an_unknown_key_says_so_and_a_missing_one_too() -> None:
    assert refusal(token(head={"kid": "k9"})) == "user_key_unknown"
    assert refusal("") == "user_token_missing"


def test_each_changed_letter_of_a_token_is_refused() -> None:
    good = token()
    assert check(good)
    head, body, signature = good.split(".")
    turned = [f"{head}.{body[:at]}{'A' if body[at] != 'A' else 'B'}{body[at + 1 :]}.{signature}" for at in range(0, len(body), 7)]  # fmt: skip
    assert {refusal(one) for one in turned} == {"user_token_invalid"}


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda b: base64.urlsafe_b64encode(b).decode())))  # fmt: skip
def test_no_text_is_more_than_refused(text: str) -> None:
    with pytest.raises(errors.NotAuthentic):
        check(text)


def test_issuer_and_account_follow_the_rules() -> None:
    strict = Rules("huiliu", "https://shop", timedelta(hours=1), subject_is_account=False)
    assert refusal(token(iss="https://evil"), strict) == "user_token_invalid"
    assert check(token(iss="https://shop"), strict).account == ""
    assert check(token(iss="https://shop", account=True), strict).account == "lin"
    assert check(token(iss="https://shop", account="demo1"), strict).account == "demo1"
    assert check(token(account=False)).account == ""
    assert check(token(aud=["shop", "huiliu"])).subject == "lin"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"keys": "k1"}, "entry 1"),
        ({"keys": "k1=short"}, "shorter than 32"),
        ({"keys": f"k1={SECRET},k1={OTHER}"}, "two keys"),
        ({"keys": f"bad id={SECRET}"}, "entry 1"),
        ({"public_keys": "hello"}, "neither"),
        ({"public_keys": "{}"}, "no JWKS"),
        ({"public_keys": '{"keys": [{"kid": "a", "kty": "oct", "k": "c2VjcmV0"}]}'}, "private"),
        ({"public_keys": json.dumps({"keys": [{**EC.as_dict(private=True), "kid": "a"}]})}, "private"),
        ({"public_keys": json.dumps({"keys": [{"kid": "a", "kty": "EC"}]})}, "P-256"),
        ({"public_keys": f"a={ECKey.generate_key('P-384').as_pem(private=False).decode()}"}, "P-256"),
        ({"public_keys": f"a={SMALL}"}, "2048"),
        ({"public_keys": f"a={EC.as_pem(private=True).decode()}"}, "neither"),
        ({"keys": f"ec={SECRET}", "public_keys": PUBLIC}, "two keys"),
        ({"push_url": "https://push.shop.example"}, "push_secret"),
        ({"push_secret": "whsec_MTIzNDU2Nzg5MDEyMzQ1Ng=="}, "push_url"),
        ({"push_url": "http://push.shop.example", "push_secret": "whsec_MTIzNDU2Nzg5MDEyMzQ1Ng=="}, "https"),
        ({"push_url": "https://push.shop.example", "push_secret": "short"}, "whsec_"),
        ({"token_hours": 48}, "24"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Key size")
def test_settings_that_cannot_work_are_refused_and_tell_no_secret(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as refused:
        AppSettings.model_validate(given)
    told = " ".join(problem["msg"] for problem in refused.value.errors(include_input=False))
    assert SECRET not in told


def test_demo_signs_with_a_key_of_this_installation() -> None:
    one, two = (AppSettings().or_demo(Vault(mark * 32)) for mark in (b"a", b"b"))
    assert one.keys != two.keys
    assert one.keys.get_secret_value().startswith("demo=")
    mine = AppSettings.model_validate({"keys": f"k1={SECRET}"})
    assert mine.or_demo(Vault(b"a" * 32)) is mine
