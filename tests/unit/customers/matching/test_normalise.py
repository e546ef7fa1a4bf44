"""Normal forms: stable, agreeing with phonenumbers, and deaf to what attackers write identifiers with."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.matching import normalise
from foundation import errors

NAMESPACES = ("phone", "email", "account", "name", "address", "birth_date", "ip", "wechat_oa:wx01")
SEEDS = (
    "139 1234 5679", "+86 139-1234-5679", "０１０－６２３４５６７８", "Foo.Bar+x@GMail.com", "ｕｓｅｒ＠ｑｑ．ｃｏｍ", "张伟（VIP）", "歐陽娜娜",
    "Жанна ab", "北京市朝陽區建國路88號", "1990年1月2日", "8.8.8.8", "2001:4860:4860::8888", "oAbC-123", "İstanbul@ABC.com",
)  # fmt: skip


def refusal(namespace: str, text: str, *, vouched: bool = False) -> str:
    with pytest.raises(errors.InvalidInput) as refused:
        normalise.parse(namespace, text, vouched=vouched)
    return refused.value.code


@given(namespace=st.sampled_from(NAMESPACES), text=st.one_of(st.sampled_from(SEEDS), st.text(max_size=60)))
def test_normal_form_is_its_own_normal_form(namespace: str, text: str) -> None:
    normal = normalise.find(namespace, text)
    if normal is not None:
        again = normalise.parse(namespace, normal.key)
        assert (again.key, again.match) == (normal.key, normal.match)


@given(text=st.text(max_size=80))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert normalise.fold(normalise.fold(text)) == normalise.fold(text)


@given(
    number=st.from_regex(r"1[0-9]{10}", fullmatch=True),
    prefix=st.sampled_from(["", "86", "+86", "0086", "+86 ", "86-"]),
    separator=st.sampled_from(["", " ", "-"]),
)
def test_fast_path_says_what_phonenumbers_says(number: str, prefix: str, separator: str) -> None:
    written = prefix + separator.join((number[:3], number[3:7], number[7:]))
    fast = normalise._mainland_mobile(written, "CN")
    try:
        parsed = phonenumbers.parse(written, "CN")
    except phonenumbers.NumberParseException:
        assert fast is None
        return
    mobile = phonenumbers.is_valid_number(parsed) and parsed.country_code == 86
    mobile = mobile and phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.MOBILE
    assert (fast is not None) == mobile
    if fast is not None:
        assert fast == phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


@given(text=st.text("0123456789+-() 转#x", max_size=20), region=st.sampled_from(["CN", "US", "DE", "HK"]))
def test_any_number_is_read_or_refused_in_every_region(text: str, region: str) -> None:
    normal = normalise.find("phone", text, region=region)
    assert normal is None or normal.key.startswith("+")


@pytest.mark.parametrize(
    "written",
    [
        "139 1234 5679",
        "+8613912345679",
        "1３9１２３4５６7９",
        "一三九一二三四五六七九",
        "008613912345679",
        "139\u200b1234\u200b5679",
    ],
)
def test_one_number_is_one_key_however_it_is_written(written: str) -> None:
    assert normalise.parse("phone", written).key == "+8613912345679"


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("13800138000", "phone_placeholder"), ("１３８００１３８０００", "phone_placeholder"), ("13900000000", "phone_placeholder"),
        ("138OO138OOO", "phone_unreadable"), ("1-800-FLOWERS", "phone_unreadable"), ("4008001234", "phone_not_personal"),
        ("12345", "phone_unassigned"), ("10000000000", "phone_placeholder"), ("", "phone_unreadable"), ("🙂", "phone_unreadable"),
    ],
)  # fmt: skip
def test_what_is_nobodys_number_is_refused_with_a_reason(written: str, code: str) -> None:
    assert refusal("phone", written) in {code, "phone_unassigned", "phone_not_personal"}


def test_region_is_the_tenants_when_a_number_has_no_country() -> None:
    assert normalise.parse("phone", "(415) 555-2671", region="US").key == "+14155552671"


def test_number_behind_an_extension_is_shared() -> None:
    plain, behind = normalise.parse("phone", "010-62345678"), normalise.parse("phone", "010-62345678 转 8")
    assert (plain.key, plain.shared) == (behind.key, False)
    assert behind.shared


def test_gmail_spellings_match_and_stay_different_keys() -> None:
    one, two = (
        normalise.parse("email", "Foo.Bar+shop@GoogleMail.com"),
        normalise.parse("email", "foobar@gmail.com"),
    )
    assert one.match == two.match
    assert one.key != two.key


def test_dots_and_tags_count_at_other_providers() -> None:
    one, two = normalise.parse("email", "foo.bar@qq.com"), normalise.parse("email", "foobar@qq.com")
    assert one.match != two.match


def test_office_mailboxes_are_shared_and_throwaway_ones_weak() -> None:
    assert normalise.parse("email", "Service@acme.cn").shared
    assert normalise.parse("email", "me@sub.mailinator.com").weak == "disposable"


@pytest.mark.parametrize(
    "text",
    [
        "a@b",
        "a b@qq.com",
        "a@@qq.com",
        "<script>@qq.com",
        "a@qq.com@evil.com",
        "@gmail.com",
        "+x@gmail.com",
        "a..b@qq.com",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    assert refusal("email", text) == "email_unreadable"


@pytest.mark.parametrize(
    "text", ["test@qq.com", "TEST12@x.org", "no-reply@x.org", "tеst@qq.com", "me@example.com"]
)
def test_made_up_addresses_are_refused(text: str) -> None:
    assert refusal("email", text) == "email_placeholder"


@pytest.mark.parametrize("lookalike", ["usеr@qq.com", "user@qԛ.com", "user@gmаil.com"])
def test_lookalike_address_never_gets_the_key_of_the_real_one(lookalike: str) -> None:
    normal = normalise.parse("email", lookalike)
    assert normal.weak == "lookalike"
    assert normal.match not in {"user@qq.com", "user@gmail.com"}


@pytest.mark.parametrize(
    "forged", ["ａdmin.li@corp.cn", "\u212aevin@corp.cn", "ke\u200bvin@corp.cn", "ﬁona@corp.cn"]
)
def test_vouched_mailbox_is_never_folded_into_another(forged: str) -> None:
    """A mail server may really have this mailbox; the plain one belongs to somebody else."""
    assert refusal("email", forged, vouched=True) == "email_not_canonical"
    assert normalise.parse("email", "kevin@corp.cn", vouched=True).key == "kevin@corp.cn"


@pytest.mark.parametrize("forged", ["ｄｅｍｏ１x", "demo1x\u200b", "\u202edemo1x", "de\u00admo1x", "", "  "])
def test_account_with_foldable_letters_is_refused_and_not_folded(forged: str) -> None:
    assert refusal("account", forged) == "account_not_canonical"


def test_lookalike_account_stays_another_account() -> None:
    assert normalise.parse("account", "dеmo77").key != normalise.parse("account", "demo77").key
    assert normalise.parse("account", "Demo77").key != normalise.parse("account", "demo77").key


@pytest.mark.parametrize("text", ["null", "NULL", "０", "0000", "guest12", "匿名", "anonymоus", "111111"])
def test_account_that_systems_fill_in_is_refused(text: str) -> None:
    assert refusal("account", text) in {"account_placeholder", "account_not_canonical"}


@pytest.mark.parametrize("text", ["微信用户", "微信用户8", "Test", "Tеst", "n/a", "匿名用户", "先生"])
def test_name_that_names_nobody_is_refused(text: str) -> None:
    assert refusal("name", text) == "name_placeholder"


@pytest.mark.parametrize("text", ["31.02.1990", "1990-02-31", "0000-00-00", "yesterday", "1900-01-01"])
def test_date_that_is_none_is_refused(text: str) -> None:
    assert refusal("birth_date", text) in {"birth_date_unreadable", "birth_date_placeholder"}


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_endless_value_is_refused(namespace: str) -> None:
    assert refusal(namespace, "1" * 100_000).endswith("_too_long")
