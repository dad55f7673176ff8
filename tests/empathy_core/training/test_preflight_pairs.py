"""The preflight of pairs: each planted bug is named, and sound pairs have no finding."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from empathy_core.backends.loading import load_model
from empathy_core.training.loop import reference
from empathy_core.training.loop.preference import PreferenceObjective
from empathy_core.training.loop.preference_loss import PairLogs
from empathy_core.training.preflight.pair_model import PAIR_MODEL_NAMES, check_pair_model
from empathy_core.training.preflight.pairs import (
    PAIR_ROW_NAMES,
    PairsToCheck,
    PairTexts,
    check_pairs,
)
from empathy_core.training.spec import (
    IGNORED,
    Preference,
    PreferenceRow,
    PreferenceSettings,
    TrainingRow,
)
from tests.preference_rows import pair_rows
from tests.tiny_models import tiny_llama
from tests.training_rows import spec_of

TUNED = Preference(
    method="dpo", pairs="p", settings=PreferenceSettings(learning_rate=1e-3, epochs=3.0)
)


def _checked(**changes: Any) -> PairsToCheck:
    spec = replace(spec_of(Path("nowhere"), epochs=2.0), preference=TUNED).on_pairs()
    rows = changes.pop("rows", pair_rows(24))
    texts = [
        PairTexts(f"What shall I do about number {i}?", f"Good reply {i}.", f"Bad reply {i}.")
        for i in range(len(rows))
    ]
    given = {
        "spec": replace(spec, **changes.pop("spec", {})),
        "stops": frozenset({1}),
        "texts": texts,
        "rows": rows,
        "references": frozenset({"goodreply0", "goodreply1"}),
    }
    return PairsToCheck(**given | changes)


def _wrong(checked: PairsToCheck) -> list[str]:
    found = check_pairs(checked)
    assert [f.name for f in found] == list(PAIR_ROW_NAMES)
    assert all(f.evidence and bool(f.remedy) != f.ok for f in found)
    return [f.name for f in found if not f.ok]


def test_sound_pairs_have_no_finding() -> None:
    """What is asked of all pairs, of some that are as they should be."""
    assert _wrong(_checked()) == []


def _each(change: Callable[[TrainingRow], TrainingRow], *sides: str) -> tuple[PreferenceRow, ...]:
    return tuple(
        replace(row, **{side: change(getattr(row, side)) for side in sides})
        for row in pair_rows(24)
    )


def _without_end(row: TrainingRow) -> TrainingRow:
    return replace(row, input_ids=row.input_ids[:-1], labels=row.labels[:-1])


def _trained_prompt(row: TrainingRow) -> TrainingRow:
    return replace(row, labels=row.input_ids)


def _other_prompt(row: TrainingRow) -> TrainingRow:
    return replace(row, input_ids=(9, *row.input_ids[1:]))


def _longer(row: TrainingRow) -> TrainingRow:
    more = (11,) * 20
    ids, labels = (*row.input_ids[:-1], *more, 1), (*row.labels[:-1], *more, 1)
    return replace(row, input_ids=ids, labels=labels)


def _cut(row: TrainingRow) -> TrainingRow:
    return replace(_without_end(row), response_cut=True)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"rows": ()}, "pairs-equal"),
        ({"rows": tuple(replace(r, rejected=r.chosen) for r in pair_rows(24))}, "pairs-equal"),
        ({"rows": _each(_trained_prompt, "chosen")}, "pairs-prompt"),
        ({"rows": _each(_other_prompt, "rejected")}, "pairs-prompt"),
        ({"texts": [PairTexts("What shall I do about it all?",
                              "What shall I do about it all? Rest.", "Rest.")] * 24},
         "pairs-prompt"),
        ({"references": frozenset(f"badreply{i}" for i in range(24))}, "pairs-reversed"),
        ({"rows": _each(_without_end, "rejected")}, "pairs-end-untrained"),
        ({"stops": frozenset({5})}, "pairs-end-untrained"),
        ({"rows": _each(_cut, "chosen")}, "pairs-cut"),
        ({"rows": _each(_longer, "chosen")}, "pairs-one-length"),
        ({"spec": {"learning_rate": 1e-7}}, "pairs-few-steps"),
        ({"spec": {"max_steps": 2}}, "pairs-few-steps"),
    ],
)  # fmt: skip
def test_each_planted_bug_is_named(changes: dict[str, Any], name: str) -> None:
    """By its own name, with evidence and a remedy; no pairs at all spoil the steps, too."""
    beside = {"pairs-end-untrained", "pairs-few-steps"} if changes.get("rows") == () else set()

    assert set(_wrong(_checked(**changes))) - beside == {name}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("base"))


def _of_model(folder: Path, rows: tuple[PreferenceRow, ...]) -> dict[str, bool]:
    spec = replace(spec_of(folder), preference=TUNED).on_pairs()
    model = load_model(spec.base, folder)
    found = check_pair_model(model, spec, rows, 2)
    assert [f.name for f in found] == list(PAIR_MODEL_NAMES)
    assert not [n for n, _ in model.named_parameters() if "lora" in n]
    return {f.name: f.ok for f in found}


def _preferred_by(folder: Path, *, best: bool) -> tuple[PreferenceRow, ...]:
    """Return pairs whose chosen reply the base finds the more, or the less, probable one."""
    spec = spec_of(folder)
    model = load_model(spec.base, folder)
    objective = PreferenceObjective(PreferenceSettings(), 2, encoder_decoder=False)
    rows = pair_rows(16)
    known = reference.take(objective, model, spec, rows)

    def mean(row: TrainingRow) -> float:
        return known[reference.row_digest(row)] / sum(label != IGNORED for label in row.labels)

    def swapped(row: PreferenceRow) -> PreferenceRow:
        if (mean(row.chosen) > mean(row.rejected)) == best:
            return row
        return replace(row, chosen=row.rejected, rejected=row.chosen)

    return tuple(map(swapped, rows))


def test_the_base_tells_of_reversed_columns(folder: Path) -> None:
    """A base that finds every chosen reply the more probable one: its own answers are chosen."""
    assert not _of_model(folder, _preferred_by(folder, best=True))["pairs-base-prefers"]
    assert _of_model(folder, _preferred_by(folder, best=False)) == {
        "pairs-base-prefers": True,
        "pairs-stuck": True,
    }


def test_a_reference_that_is_the_policy_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss then stays at log 2, however large the steps."""
    real = PreferenceObjective._logs

    def shared(self: PreferenceObjective, *of: Any) -> PairLogs:
        pairs = real(self, *of)
        return replace(
            pairs,
            reference_chosen=pairs.chosen.detach(),
            reference_rejected=pairs.rejected.detach(),
        )

    monkeypatch.setattr(PreferenceObjective, "_logs", shared)

    assert not _of_model(folder, pair_rows(12))["pairs-stuck"]


def test_the_rounding_of_another_batch_is_no_fault(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16 a long reply's log-probability depends on its batch: 0.04 nats on SmolLM2."""
    real = reference.take

    def rounded(objective: Any, model: Any, spec: Any, rows: Any) -> dict[str, float]:
        known = real(objective, model, spec, rows)
        if spec.micro_batch == len(rows) == 4:  # the batch that the pairs are tried in
            return known
        chosen = {reference.row_digest(pair.chosen) for pair in rows}
        return {row: of + 0.3 * (row in chosen) for row, of in known.items()}

    monkeypatch.setattr(reference, "take", rounded)

    assert _of_model(folder, pair_rows(12))["pairs-stuck"]


def test_a_reference_of_other_rows_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss then does not begin at log 2."""
    real = reference.take

    def others(*of: Any) -> dict[str, float]:
        return {row: known - 3.0 * i for i, (row, known) in enumerate(real(*of).items())}

    monkeypatch.setattr(reference, "take", others)

    assert not _of_model(folder, pair_rows(12))["pairs-stuck"]
