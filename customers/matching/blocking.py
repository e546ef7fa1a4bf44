"""Who is worth comparing: records that share a block key. Columns in, keys out; pairs out for training.

Rules name columns that must agree together. Keys are compound, never a bare surname: a keyed index still shows how
often each key occurs, and surnames could be read off their frequencies. The keys are made with a label of their own,
so they match no other index.

What would surprise you: a name in Latin letters has two readings and gets the keys of both. A key that too many records
share is skipped, not cut: what it finds would be chance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from foundation.messages import TenantId
from foundation.security import Vault

Columns = Mapping[str, str]
Rules = Sequence[Sequence[str]]

CAP = 300
OTHER_READINGS = {"name_py": "name_alt", "surname_py": "surname_alt"}
_LABEL = "match_block"
_DIGITS = str.maketrans("abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdefghijklmnopqrstuv")


def plain_keys(columns: Columns, rules: Rules) -> list[tuple[str, ...]]:
    """What the records of one block have in common: the rule's columns, then their values."""
    keys: list[tuple[str, ...]] = []
    for rule in rules:
        if all(column in columns for column in rule):
            choices = [_values(columns, column) for column in rule]
            keys.extend(("+".join(rule), *values) for values in product(*choices))
    return list(dict.fromkeys(keys))


def block_keys(vault: Vault, tenant: TenantId, columns: Columns, rules: Rules) -> list[int]:
    """Eight bytes each, as the signed number that both databases can store."""
    return [number_of(vault.index_key(_LABEL, tenant, *key)) for key in plain_keys(columns, rules)]


def every_block_key(vault: Vault, tenant: TenantId, columns: Columns, rules: Rules) -> list[int]:
    """To find others by, who may still stand under an older key."""
    plain = plain_keys(columns, rules)
    return [number_of(one) for key in plain for one in vault.index_keys(_LABEL, tenant, *key)]


def number_of(index_key: str) -> int:
    """Its first eight bytes. By the digits of `int`, which are the same thirty-two in another order: the library's decoder is
    written in Python, and a record has twenty keys."""
    unsigned = int(index_key.rpartition(".")[2][:13].translate(_DIGITS), 32) >> 1
    return unsigned - (1 << 64) if unsigned >> 63 else unsigned


def _values(columns: Columns, column: str) -> list[str]:
    value, other = columns[column], columns.get(OTHER_READINGS.get(column, ""))
    return [value] if other is None or other == value else [value, other]


def pairs_of(
    records: Sequence[Columns], rules: Rules, *, split: int | None = None, cap: int = CAP
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of rows that share a key, each once. With `split` the first so many records are one file and the rest
    another, and only pairs across are made."""
    by_rule = coded_pairs(records, rules, split=split, cap=cap)
    different = np.unique(np.concatenate(by_rule)) if by_rule else np.zeros(0, np.int64)
    return different // len(records), different % len(records)


def coded_pairs(
    records: Sequence[Columns], rules: Rules, *, split: int | None = None, cap: int = CAP
) -> list[NDArray[np.int64]]:
    """By rule, the sorted pairs of rows as one number each: left · number of records + right."""
    found = []
    for rule in rules:
        blocks: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for row, record in enumerate(records):
            for key in plain_keys(record, [rule]):
                blocks[key].append(row)
        coded = [_pairs(rows, len(records), split) for rows in blocks.values() if 1 < len(rows) <= cap]
        found.append(np.unique(np.concatenate(coded)) if coded else np.zeros(0, np.int64))
    return found


def _pairs(rows: Sequence[int], size: int, split: int | None) -> NDArray[np.int64]:
    members = np.asarray(rows, np.int64)
    if split is None:
        left, right = np.triu_indices(len(members), 1)
        return np.asarray(members[left] * size + members[right])
    first, second = members[members < split], members[members >= split]
    return np.asarray((first[:, None] * size + second[None, :]).ravel())
