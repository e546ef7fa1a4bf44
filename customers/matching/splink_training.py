"""Training with Splink on DuckDB instead of our own trainer: the same template and records in, a model out.

For large bases, and for Splink's charts. It needs the extra `oneid-batch`; the model that comes out is scored by
`scorer.py` like any other, with the very weights that Splink would give (a test holds the two together).

What would surprise you: only Splink's DuckDB backend is right to use. Its SQLite one compares Jaro-Winkler distances as
if they were similarities, its Postgres one has none of the metrics. So records are read here and handed over.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from customers.matching import models
from customers.matching.models import PRIVATE_BELOW, Comparison, Level, Model
from foundation import errors

Columns = Mapping[str, str]

RANDOM_PAIRS = 1_000_000
LIKELY_RECALL = 0.8
_ID, _FILE = "record_number", "source_dataset"


def train(
    template: Model, records: Sequence[Columns], *, split: int | None = None, certain: Sequence[Sequence[str]],
    seed: int = 1, private_below: int = PRIVATE_BELOW,
) -> tuple[Model, Any]:  # fmt: skip
    """The model, and Splink's linker for its charts and batch predictions. `certain` are rules whose pairs are nearly
    always one person; the prior is estimated from them. With `private_below` 1 the model gives Splink's weights to the
    last bit, and holds rare names. Raises `ConfigurationError` without the extra."""
    linker = make_linker(template, records, split=split)
    _fit(linker, template, certain, seed)
    body = linker.misc.save_model_to_json(None)
    model = models.parse_splink(body, population=len(records) if split is None else split)
    return _with_frequencies(
        linker, replace(model, blocking=template.blocking), records, private_below
    ), linker


def make_linker(template: Model, records: Sequence[Columns], *, split: int | None = None) -> Any:
    try:
        import pyarrow
        from splink import DuckDBAPI, Linker
    except ImportError as error:
        raise errors.ConfigurationError(
            "Batch training needs Splink: pip install 'huiliu[oneid-batch]'."
        ) from error
    columns = sorted({column for comparison in template.comparisons for column in comparison.columns})
    columns += sorted({column for rule in template.blocking for column in rule} - set(columns))
    tables = [
        pyarrow.table(
            {
                _ID: pyarrow.array([str(start + row) for row in range(len(part))]),
                **{
                    column: pyarrow.array([record.get(column) for record in part], pyarrow.string())
                    for column in columns
                },
            }
        )
        for start, part in _parts(records, split)
    ]
    api = DuckDBAPI()
    names = [f"records_{number}" for number in range(len(tables))]
    frames = [
        api.register(table, dataset_display_name=name) for table, name in zip(tables, names, strict=True)
    ]
    linker = Linker(
        frames if split is not None else frames[0], _settings(template, linking=split is not None)
    )
    logging.getLogger("splink").setLevel(
        logging.ERROR
    )  # the linker sets its own; a page a training is too much
    return linker


def _fit(linker: Any, template: Model, certain: Sequence[Sequence[str]], seed: int) -> None:
    from splink import block_on

    training = linker.training
    training.estimate_probability_two_random_records_match(
        [block_on(*rule) for rule in certain], recall=LIKELY_RECALL
    )
    training.estimate_u_using_random_sampling(max_pairs=RANDOM_PAIRS, seed=seed)
    for rule in template.blocking:
        decided = [one for one in template.comparisons if one.columns.intersection(rule)]
        if len(decided) < len(template.comparisons):
            training.estimate_parameters_using_expectation_maximisation(block_on(*rule))


def _with_frequencies(linker: Any, model: Model, records: Sequence[Columns], private_below: int) -> Model:
    columns = {
        level.frequency.column
        for comparison in model.comparisons
        for level in comparison.levels
        if level.frequency is not None
    }
    frequencies, unlisted = {}, {}
    for column in sorted(columns):
        total = sum(1 for record in records if column in record)
        rows = linker.table_management.compute_tf_table(column).as_record_list()
        shares = {str(row[column]): float(row[f"tf_{column}"]) for row in rows}
        frequencies[column] = {
            value: share for value, share in shares.items() if round(share * total) >= private_below
        }
        rare = [share for value, share in shares.items() if value not in frequencies[column]]
        if rare:
            unlisted[column] = sum(share * share for share in rare) / sum(rare)
    return replace(model, frequencies=frequencies, unlisted=unlisted)


def _parts(records: Sequence[Columns], split: int | None) -> list[tuple[int, Sequence[Columns]]]:
    return [(0, records)] if split is None else [(0, records[:split]), (split, records[split:])]


def _settings(template: Model, *, linking: bool) -> Any:
    from splink import SettingsCreator, block_on

    return SettingsCreator(
        link_type="link_only" if linking else "dedupe_only",
        unique_id_column_name=_ID,
        source_dataset_column_name=_FILE,
        comparisons=[_comparison(comparison) for comparison in template.comparisons],
        blocking_rules_to_generate_predictions=[block_on(*rule) for rule in template.blocking],
        retain_matching_columns=False,
        retain_intermediate_calculation_columns=False,
    )


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "output_column_name": comparison.name,
        "comparison_levels": [_level(level) for level in comparison.levels],
    }


def _level(level: Level) -> dict[str, Any]:
    body: dict[str, Any] = {"sql_condition": level.when, "label_for_charts": level.label}
    if level.missing:
        body["is_null_level"] = True
    if level.frequency is not None:
        body["tf_adjustment_column"] = level.frequency.column
        body["tf_adjustment_weight"] = level.frequency.weight
        if level.frequency.floor:
            body["tf_minimum_u_value"] = level.frequency.floor
    return body
