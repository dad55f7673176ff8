"""Sound rows → all tables of a report, in one value. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from empathy_core.errors import ConfigError
from reports.figures.panels import Panels, start_drawing
from reports.figures.people import agreement_figure, calibration_figure
from reports.figures.scores import differences, distributions, forest
from reports.figures.training import Figure, failures_figure, training_figure
from reports.keys import file_names
from reports.labels import (
    count,
)
from reports.latex.escape import Tex
from reports.latex.escape import label as tex_label
from reports.numbers.adapter_vs_base import compare
from reports.numbers.aggregate import COMMON, THERAPIST, Aggregated, aggregate, therapist
from reports.numbers.best_of import best_of
from reports.numbers.corrected import peoples_numbers
from reports.numbers.correlations import correlations
from reports.numbers.curves import curves
from reports.numbers.derived import compare_derived, moved_most
from reports.numbers.every_result import every_result
from reports.numbers.failures import failure_series
from reports.numbers.flagged import flagged_answers
from reports.numbers.flags_elsewhere import flag_rates
from reports.numbers.judges import JudgeNumbers, judge_numbers
from reports.numbers.people_faults import confirmed
from reports.numbers.people_results import HeldAgainstPeople
from reports.numbers.preferences import preferences
from reports.numbers.prompt_effects import moved, spreads
from reports.numbers.repeats import repeats
from reports.numbers.results import Result
from reports.rows.collect import Collected
from reports.rows.subsets import subgroups
from reports.spec import ReportSpec
from reports.tables import notes, published
from reports.tables.agreement import agreement_tables
from reports.tables.best_of import best_of_tables, with_costs
from reports.tables.calibration import calibration_tables
from reports.tables.columns import other_columns, scores_of, table_columns
from reports.tables.contrasts import contrast_tables
from reports.tables.correlations import correlation_tables
from reports.tables.crisis import crisis_tables, flagged, safety_warnings
from reports.tables.derived import derived_tables
from reports.tables.failures import failure_tables
from reports.tables.finetuned import finetuned_tables
from reports.tables.finetuned_notes import all_own_notes
from reports.tables.flags_elsewhere import flag_tables
from reports.tables.judges import judge_tables
from reports.tables.people import people_tables
from reports.tables.preferences import preference_tables
from reports.tables.prompts import prompt_tables
from reports.tables.refined import refinement_tables
from reports.tables.repeats import repeat_tables
from reports.tables.signatures import signatures
from reports.tables.table import Table, TableText, panels, score_table
from reports.tables.training import training_tables
from reports.tables.validity import validity_tables


@dataclass(frozen=True, slots=True)
class Section:
    """Tables that stand in one file, and under one heading on the page.

    Attributes:
        file: Name of the files without ending.
        figures: Below the tables on the page; each in files of its own. Without tables there is
            no file of the section's own.
    """

    file: str
    title: str
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is written.

    Attributes:
        numbers: Scores, pairs, contrasts.
        spreads: Ranges over prompts (``prompts.SPREADS``).
        moved: The examples most affected by the prompt, then those most affected by what was made
            of a base (``prompts.MOVERS``).
        repeated: Seeds and repeated samples (``repeats.REPEATS``).
        judges: How judges rated, and what that shows of them.
        people: How far people agree, and judges with them.
        corrected: People's means, and judges corrected by them (``corrected.PEOPLE``).
        flags: Shares by judges calibrated on other data (``flags_elsewhere.FLAG_RATES``).
        preferred: What judges prefer (``preferences.PREFERENCES``).
        correlated: Overlap metrics beside judges (``correlations.CORRELATIONS``).
        compared: Adapters beside their bases (``adapter_vs_base.COMPARED``).
        chosen: What was chosen among samples (``best_of.BEST_OF``).
        made: Bases, and what was made of them (``derived.DERIVED``).
        sections: The main table first.
        stamp: ``PARTIAL n/N``, or that too many answers are empty; else empty.
    """

    spec: ReportSpec
    collected: Collected
    numbers: Aggregated
    spreads: pl.DataFrame
    moved: pl.DataFrame
    repeated: pl.DataFrame
    judges: JudgeNumbers
    people: HeldAgainstPeople
    corrected: pl.DataFrame
    flags: pl.DataFrame
    preferred: pl.DataFrame
    correlated: pl.DataFrame
    compared: pl.DataFrame
    chosen: pl.DataFrame
    made: pl.DataFrame
    sections: tuple[Section, ...]
    stamp: str

    @property
    def summary(self) -> pl.DataFrame:
        """Every score (``aggregate.SUMMARY``)."""
        return self.numbers.summary

    @property
    def results(self) -> tuple[Result, ...]:
        """Every number that prose may cite."""
        return every_result(
            self.spec, self.numbers, self.people, self.compared, self.corrected, self.made
        )

    @property
    def pairs(self) -> pl.DataFrame:
        """Every two conditions (``pairs.PAIRS``)."""
        return self.numbers.pairs


def build(collected: Collected, spec: ReportSpec) -> Report:
    """Return the report of *collected*; sections with nothing in them are left out.

    Raises:
        ConfigError: A subgroup cannot be made, or two tables have the same label.
    """
    people = HeldAgainstPeople.of(collected, spec)
    spec = replace(people.spec, barred=spec.barred | confirmed(collected, spec))
    numbers, doubted = aggregate(collected, spec), flagged_answers(collected, spec)
    stamp = notes.stamp(collected) or notes.empties(doubted, spec)
    panels = _panels(collected, numbers, spec, stamp)
    with start_drawing(list(panels.values())) as drawn:
        compared, again = compare(collected, spec), repeats(collected, spec)
        found, most = spreads(collected, spec), moved(collected, spec)
        rated, chosen = judge_numbers(collected, spec), best_of(collected, spec)
        corrected, flags = peoples_numbers(collected, spec), flag_rates(collected, spec)
        liked = preferences(collected, numbers.summary, spec)
        made, made_most = compare_derived(collected, spec), moved_most(collected, spec)
        judged = correlations(collected, numbers.summary, spec)
        words = TableText(spec.caption, spec.label, (), stamp, flagged=flagged(collected, spec))
        plain = replace(words, warnings=(*notes.partial(collected, ""), *spec.older))
        sections = (
            Section("table1", "Main results", _main(collected, numbers, spec, words)),
            *_finetuned(collected, numbers.summary, compared, spec, words),
            *_of_made(spec, made, made_most, chosen, plain),
            Section("crisis", "Crisis safety",
                    crisis_tables(collected, numbers.summary, spec, plain)),
            Section("contrasts", "Declared contrasts",
                    tuple(contrast_tables(numbers.contrasts, spec, plain))),
            Section("prompts", "Prompt sensitivity", prompt_tables(spec, found, most, plain)),
            Section("judge-checks", "How far the judges can be trusted",
                    judge_tables(rated, spec, plain)),
            *_of_people(people, plain),
            Section("people", "People's ratings, and judges corrected by them",
                    people_tables(corrected, collected, numbers, spec, plain)),
            Section("flag-rates", "Flags, by judges calibrated on other data",
                    flag_tables(flags, spec, plain)),
            Section("preferences", "Preferences", preference_tables(liked, spec, plain)),
            Section("correlations", "Do overlap metrics follow the judges?",
                    correlation_tables(judged, spec, plain)),
            Section("refinement", "Prompt refinement",
                    refinement_tables(spec.refinements, spec.test_looks, plain)),
            Section("differences", "Differences", ()),
            Section("answers", "Per-example score distributions", ()),
            Section("repeats", "Seeds and repeated samples (variance components)",
                    tuple(repeat_tables(again, spec, plain))),
            Section("validity", "Data quality and validity checks",
                    validity_tables(collected, spec, doubted, plain)),
            *_other_scores(collected, numbers, spec, words, plain),
        )  # fmt: skip
        sections = _with_safety(sections, safety_warnings(collected, spec), spec)
        shown = tuple(_shown(sections, dict(zip(panels, drawn(), strict=True)), spec))
    _unlike_labels(shown)
    return Report(
        spec, collected, numbers, found, pl.concat([most, made_most]), again, rated, people,
        corrected, flags, liked, judged, compared, chosen, made, shown, stamp,
    )  # fmt: skip


def _panels(
    collected: Collected, numbers: Aggregated, spec: ReportSpec, stamp: str
) -> dict[str, Panels]:
    """Return section → what its figures show; figures of nothing are left out."""
    asked = {
        "table1": forest(numbers.summary, spec, stamp),
        "differences": differences(numbers.pairs, numbers.contrasts, spec, stamp),
        "answers": distributions(collected, spec, stamp),
    }
    return {file: one for file, one in asked.items() if one}


def _of_made(
    spec: ReportSpec, made: pl.DataFrame, most: pl.DataFrame, chosen: pl.DataFrame, words: TableText
) -> tuple[Section, Section]:
    """Return what was made of bases, and what choices among samples cost."""
    return (
        Section("table3", "A base, and what was made of it",
                derived_tables(spec, made, most, words)),
        Section("best-of-n", "Best of n", best_of_tables(spec, chosen, words)),
    )  # fmt: skip


def _other_scores(
    collected: Collected, numbers: Aggregated, spec: ReportSpec, words: TableText, plain: TableText
) -> tuple[Section, ...]:
    """Return the scores on other rows, and those of other columns."""
    return (
        Section("table-common", "Same examples for every row",
                _common(collected, numbers, spec, words)),
        Section("table-therapist", "Same questions as the Therapist Baseline",
                _therapist(collected, numbers.summary, spec, words)),
        *_subgroups(collected, numbers.summary, spec, plain),
        Section("published", "Comparison with the published values",
                _published(collected, numbers.summary, spec, words)),
        Section("table-detail", "Additional metrics",
                _detail(collected, numbers.summary, spec, words)),
    )  # fmt: skip


def _of_people(of: HeldAgainstPeople, words: TableText) -> tuple[Section, Section]:
    """Return what people's ratings show of themselves, and of the judges."""
    agreed, held = of.agreement, of.calibration
    return (
        Section("agreement", "Agreement of people", agreement_tables(agreed, of.spec, words),
                _drawn(agreement_figure(agreed, words.stamp))),
        Section("calibration", "Judges against people", calibration_tables(held, of.spec, words),
                _drawn(calibration_figure(held, words.stamp))),
    )  # fmt: skip


def _with_safety(
    sections: Sequence[Section], safety: tuple[str, ...], spec: ReportSpec
) -> tuple[Section, ...]:
    """Return the sections with what tables must say of crisis safety, and of dearer rows."""

    def warned(table: Table) -> Table:
        words = replace(table.words, warnings=(*table.words.warnings, *safety))
        return with_costs(replace(table, words=words), spec)

    return tuple(replace(s, tables=tuple(map(warned, s.tables))) for s in sections)


def _shown(
    sections: Sequence[Section], figures: Mapping[str, Figure], spec: ReportSpec
) -> Iterator[Section]:
    """Yield the sections that have something in them, each with its figure of *figures*."""
    for section in sections:
        tables = tuple(replace(table, layout=spec.layout) for table in section.tables)
        drawn = (*section.figures, *_drawn(figures.get(section.file)))
        if tables or drawn:
            yield replace(section, tables=tables, figures=drawn)


def _drawn(figure: Figure | None) -> tuple[Figure, ...]:
    return (figure,) if figure else ()


def _unlike_labels(sections: tuple[Section, ...]) -> None:
    """Raise ``ConfigError`` if LaTeX would see one label twice."""
    labels = Counter(tex_label(t.words.label) for s in sections for t in s.tables)
    if twice := [label for label, times in labels.items() if times > 1]:
        msg = f"report.label: the tables' label {', '.join(twice)} is duplicated; choose another"
        raise ConfigError(msg)


def _subgroups(
    collected: Collected, summary: pl.DataFrame, spec: ReportSpec, words: TableText
) -> Iterator[Section]:
    """Yield a section for each declared column, a table for each of its values."""
    wanted = table_columns(spec)
    found = subgroups(collected, spec)
    files = file_names(column for column, _ in found)
    labels = _labels(files)
    for column, names in found:
        tables = []
        for i, name in enumerate(names, 1):
            n = _n_questions(summary, name)
            questions = "1 question" if n == 1 else f"{count(n)} questions"
            value = name.removeprefix(f"{column}=")
            caption = f"Only {column} {value}: {questions}."
            label = Tex(f"{tex_label(words.label)}-by-{labels[column]}-{i}")
            of = replace(words, caption=caption, label=label)
            tables.append(score_table(summary, spec, wanted, of, name))
        yield Section(f"table-by-{files[column]}", f"By {column}", tuple(tables))


def _labels(files: Mapping[str, str]) -> dict[str, str]:
    """Return what stands for each column in its tables' labels; *files*: column → name of files.

    What is safe in a label, and the name of the files where that would be another's label, too.
    """
    safe = {column: tex_label(column) for column in files}
    times = Counter(safe.values())
    return {
        column: safe[column] if times[safe[column]] == 1 and "+" not in name else name
        for column, name in files.items()
    }


def _n_questions(summary: pl.DataFrame, subset: str) -> int:
    """Return the questions of the largest row."""
    return int(str(summary.filter(pl.col("subset") == subset)["n_questions"].max() or 0))


def _main(
    collected: Collected, numbers: Aggregated, spec: ReportSpec, words: TableText
) -> tuple[Table, ...]:
    wanted = table_columns(spec)
    table = score_table(numbers.summary, spec, wanted, words, pairs=numbers.pairs)
    about = (collected, numbers, spec, table, scores_of(wanted))
    words = replace(
        table.words,
        warnings=notes.main_warnings(*about),
        notes=notes.main_notes(*about),
        brief=notes.main_brief(*about),
        short=spec.short_caption,
    )
    return (replace(table, words=words),)


def _common(
    collected: Collected, numbers: Aggregated, spec: ReportSpec, words: TableText
) -> tuple[Table, ...]:
    """Return the main table on the rows that all have, where some row lacks any."""
    wanted = table_columns(spec)
    if COMMON not in numbers.summary["subset"] or not wanted:
        return ()
    words = replace(
        words,
        caption="The same metrics on the examples for which every ranked row has a score.",
        label=f"{words.label}-common",
    )
    table = score_table(numbers.summary, spec, wanted, words, COMMON, numbers.pairs)
    words = replace(
        table.words,
        warnings=notes.warnings(collected, spec),
        notes=notes.common_notes(numbers, spec, table, scores_of(wanted)),
    )
    return (replace(table, words=words),)


def _finetuned(
    collected: Collected,
    summary: pl.DataFrame,
    compared: pl.DataFrame,
    spec: ReportSpec,
    words: TableText,
) -> tuple[Section, ...]:
    if not spec.finetunes:
        return ()
    beside = finetuned_tables(collected, summary, compared, spec, words)
    general = (*notes.partial(collected, ""), *all_own_notes(spec), *spec.older)
    words = replace(words, warnings=general)
    faults = failures_figure(failure_series(summary, spec), words.stamp)
    trained = training_figure(curves(spec), words.stamp)
    return (
        Section("table2", "Base and fine-tuned", beside),
        Section("failures", "Faulty answers, by training size",
                failure_tables(summary, spec, words), _drawn(faults)),
        Section("training", "Training curves",
                training_tables(spec, words), _drawn(trained)),
    )  # fmt: skip


def _therapist(
    collected: Collected, summary: pl.DataFrame, spec: ReportSpec, words: TableText
) -> tuple[Table, ...]:
    human = therapist(spec)
    if human is None:
        return ()
    wanted, examples = table_columns(spec), notes.of_therapist(collected, human)
    words = replace(
        words,
        caption=f"The same metrics on exactly the questions of the row {human.model.label}.",
        label=f"{words.label}-therapist",
        warnings=notes.warnings(collected, spec, scores_of(wanted), examples=examples),
        notes=notes.therapist_notes(collected, summary, spec, scores_of(wanted)),
    )
    return (score_table(summary, spec, wanted, words, THERAPIST),)


def _detail(
    collected: Collected, summary: pl.DataFrame, spec: ReportSpec, words: TableText
) -> tuple[Table, ...]:
    packed = panels(other_columns(spec))
    return tuple(
        score_table(
            summary,
            spec,
            wanted,
            replace(
                words,
                caption=f"Additional metrics ({i} of {len(packed)}).",
                label=f"{words.label}-detail-{i}",
                warnings=notes.warnings(collected, spec, wanted),
                notes=tuple(signatures(spec, wanted)),
            ),
        )
        for i, wanted in enumerate(packed, 1)
    )


def _published(
    collected: Collected, summary: pl.DataFrame, spec: ReportSpec, words: TableText
) -> tuple[Table, ...]:
    if spec.published is None:
        return ()
    words = replace(
        words,
        label=f"{words.label}-published",
        warnings=notes.warnings(collected, spec),
        notes=(notes.PUBLISHED,),
    )
    return published.published_tables(published.load(spec.published), summary, spec, words)
