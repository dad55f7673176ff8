"""The tables of prompt refinements: gains on validation and on test, and what else moved. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from empathy_core.counted import counted
from empathy_core.types import Column
from reports.labels import column_title, count, n_of, number, p_text
from reports.numbers.significance import ALPHA
from reports.refined import MovedColumn, PromptGain, PromptOnTest, RefinementOutcome
from reports.tables import terminal
from reports.tables.cells import count_cell, difference_cell, heads, p_cell, score_cell
from reports.tables.table import ARROWS, DAGGER, Cell, Group, Row, Table, TableText, line_label

GAIN_NOTE = (
    "Gain: how much better the candidate is than its parent in the target, on the rows that both "
    "have scored; above 0 is better. Optimism: validation gain \N{MINUS SIGN} test gain. The "
    "validation gain is of rows by which the prompt was chosen, and its interval does not know of "
    "the choice."
)


def refinement_tables(
    outcomes: Sequence[RefinementOutcome], looks: Mapping[str, int], words: TableText
) -> tuple[Table, ...]:
    """Return the table of gains, and one of other columns for each prompt that was tested.

    Args:
        outcomes: Of the run's refinements.
        looks: Digest of test rows → how often refinements looked at them; every note says so.
        words: What stands around tables.
    """
    if not outcomes:
        return ()
    tables = [_gains(outcomes, looks, words)]
    for outcome in outcomes:
        for tested in outcome.tested:
            label = f"{words.label}-refined-{outcome.name}-{tested.name}"
            tables.append(_moved(outcome, tested, looks, replace(words, label=label)))
    return tuple(tables)


def _gains(
    outcomes: Sequence[RefinementOutcome], looks: Mapping[str, int], words: TableText
) -> Table:
    groups = tuple(
        Group(f"{one.name}: {column_title(one.target)} {ARROWS[one.better]}", _lines(one))
        for one in outcomes
    )
    shown = heads(
        ("Validation", "n"), ("Validation gain", "[95% interval]"), ("Test", "n"),
        ("Test gain", "[95% interval]"), "Optimism", "p",
    )  # fmt: skip
    notes = [sentence for one in outcomes for sentence in notes_of(one, looks)]
    words = replace(
        words,
        caption="Prompt refinement: candidates beside their parent prompt.",
        label=f"{words.label}-refinement",
        notes=(*dict.fromkeys(notes), GAIN_NOTE),
    )
    return Table(words, ("Refinement", "Prompt"), (), shown, groups)


def _lines(outcome: RefinementOutcome) -> tuple[Row, ...]:
    column = outcome.target
    if not outcome.tested:
        gain = outcome.best
        cells = (*_gain_cells(gain, outcome), count_cell(None), *[score_cell(None, column)] * 3)
        return (Row(("best candidate, not tested",), cells),)
    return tuple(
        Row(
            (tested.name,),
            (
                *_gain_cells(tested.validation, outcome),
                *_gain_cells(tested.test, outcome),
                score_cell(tested.optimism, column, signed=True),
                p_cell(tested.p_holm, dagger=_is_found(tested.p_holm)),
            ),
        )
        for tested in outcome.tested
    )


def _gain_cells(gain: PromptGain, outcome: RefinementOutcome) -> tuple[Cell, Cell]:
    return count_cell(gain.n), difference_cell(gain.value, gain.low, gain.high, outcome.target)


def _is_found(p: float | None) -> bool:
    return p is not None and p < ALPHA


def _moved(
    outcome: RefinementOutcome,
    tested: PromptOnTest,
    looks: Mapping[str, int],
    words: TableText,
) -> Table:
    rows = tuple(map(_moved_row, tested.moved))
    words = replace(
        words,
        caption=(
            f"What else moved on the test rows: {tested.name} beside its parent {outcome.parent} "
            f"(refinement {outcome.name})."
        ),
        notes=(
            looks_note(looks.get(outcome.test, 0)),
            "Difference: candidate \N{MINUS SIGN} parent. p: of each column alone, without "
            "correction; the target's own is corrected in the table of gains.",
        ),
    )
    shown = heads("Parent", "Candidate", ("Difference", "[95% interval]"), "p", "n")
    return Table(words, ("Model", "Metric"), (), shown, (Group(outcome.model, rows),))


def _moved_row(one: MovedColumn) -> Row:
    column = one.column
    return Row(
        (line_label(column),),
        (
            score_cell(one.parent, column),
            score_cell(one.candidate, column),
            difference_cell(one.difference, one.low, one.high, column),
            p_cell(one.p),
            count_cell(one.n),
        ),
    )


# ---------------------------------------------------------------------------- sentences


def notes_of(outcome: RefinementOutcome, looks: Mapping[str, int]) -> Iterator[str]:
    """Yield what must be said wherever a refinement's numbers stand, its verdict first."""
    yield f"{outcome.name}: {verdict(outcome)}"
    dropped = "; ".join(f"{count(n)} ({reason})" for reason, n in outcome.dropped.items())
    yield (
        f"{outcome.name}: {counted(outcome.n_candidates, 'candidate')} in "
        f"{counted(outcome.n_rounds, 'round')} of successive halving, {outcome.model}"
        + (f"; dropped: {dropped}." if dropped else ".")
    )
    if outcome.tested:
        yield from _left_out(outcome)
        yield looks_note(looks.get(outcome.test, 0))
        n = len(outcome.tested)
        yield from _reported(outcome)
        yield f"{DAGGER} p < 0.05 by randomisation, Holm over {counted(n, 'prompt')} tested."
    if outcome.seen:
        yield (
            f"{outcome.name}: {', '.join(outcome.seen)} had answered test rows in this run before "
            "the choice: if anybody looked at them, the test is none."
        )
    for remark in outcome.remarks:
        yield f"{outcome.name}: {remark}."


def _left_out(outcome: RefinementOutcome) -> Iterator[str]:
    """Yield how many rows the gains are not of, since one of the two prompts has no score there."""
    for tested in outcome.tested:
        on = (("validation", tested.validation), ("test", tested.test))
        told = [f"{n_of(g.n_left_out, g.n + g.n_left_out)} {w}" for w, g in on if g.n_left_out]
        if told:
            yield (
                f"{outcome.name}: the gain of {tested.name} leaves out {' and '.join(told)} rows, "
                "in which it or its parent has no score."
            )


def _reported(outcome: RefinementOutcome) -> Iterator[str]:
    """Yield what the column says that no prompt was chosen by."""
    for tested in outcome.tested:
        if (one := tested.reported) is not None:
            told = number(one.difference, one.column, signed=True)
            yield (
                f"{outcome.name}: reported by {column_title(one.column)} "
                f"{ARROWS[one.column.better]}, by which nothing was chosen: {tested.name} "
                f"\N{MINUS SIGN} {outcome.parent} is {told}{_ends(one.low, one.high, one.column)}, "
                f"p {p_text(one.p)}."
            )


def looks_note(n_looks: int) -> str:
    """Say how often the test rows were looked at; p is that of one look."""
    if n_looks <= 1:
        return "The test rows were looked at once by refinements of this run."
    return (
        f"The test rows were looked at {count(n_looks)} times by refinements of this run: each p "
        "is that of its own look alone, and what the best of several looks shows is too good."
    )


def verdict(outcome: RefinementOutcome) -> str:
    """Return in a sentence what came of a refinement."""
    column, best = outcome.target, outcome.best
    if not outcome.tested:
        return (
            f"no candidate was better than {outcome.parent} on validation (the best: "
            f"{number(best.value, column, signed=True)}), so that the test rows were not looked "
            "at. Nothing got better."
        )
    first = outcome.tested[0]
    gain = first.test
    told = (
        f"test gain {number(gain.value, column, signed=True)}{_ends(gain.low, gain.high, column)}, "
        f"validation gain {number(first.validation.value, column, signed=True)}, optimism "
        f"{number(first.optimism, column, signed=True)}"
    )
    if not outcome.chosen:
        told = f"none was better on validation; {told}"
    if _is_found(first.p_holm) and (first.test.value or 0) > 0:
        return f"{first.name} is better than {outcome.parent} on the test rows ({told})."
    if _is_found(first.p_holm):
        return f"{first.name} is worse than {outcome.parent} on the test rows ({told})."
    p = f"p {p_text(first.p_holm)}" if first.p_holm is not None else "too few questions to test"
    return f"no improvement was found on the test rows ({told}; {p})."


def _ends(low: float | None, high: float | None, column: Column) -> str:
    if low is None or high is None:
        return ""
    shown = ", ".join(number(end, column, signed=True) for end in (low, high))
    return f" [{shown}]"


def text(outcome: RefinementOutcome, looks: Mapping[str, int]) -> str:
    """Return a refinement for the terminal: its tables, and below them what must be said."""
    tables = refinement_tables([outcome], looks, TableText("", "", ()))
    notes = "\n".join(notes_of(outcome, looks))
    return "\n\n".join([*map(terminal.text, tables), notes])
