"""Sound rows → all tables of a report, in one value. Pure."""

from dataclasses import dataclass, replace

import polars as pl

from reports import notes, published
from reports.aggregate import THERAPIST, aggregate, therapist
from reports.collect import Collected
from reports.comparisons import compare
from reports.failures import failure_series, failure_tables
from reports.figures import Figure, failures_figure, training_figure
from reports.finetuned import finetuned_tables
from reports.finetuned_notes import partial_note
from reports.spec import ReportSpec
from reports.table import Table, Words, columns, panels, score_table
from reports.training import curves, training_tables


@dataclass(frozen=True, slots=True)
class Section:
    """Tables that stand in one file, and under one heading on the page.

    Attributes:
        file: Name of the files without ending.
        figures: Below the tables on the page; each in files of its own.
    """

    file: str
    title: str
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is written.

    Attributes:
        compared: Adapters beside their bases (``comparisons.COMPARED``).
        sections: The main table first.
        stamp: ``PARTIAL n/N``, or empty.
    """

    spec: ReportSpec
    collected: Collected
    summary: pl.DataFrame
    compared: pl.DataFrame
    sections: tuple[Section, ...]
    stamp: str


def build(collected: Collected, spec: ReportSpec) -> Report:
    """Return the report of *collected*; sections without a table are left out."""
    summary, compared = aggregate(collected, spec), compare(collected, spec)
    stamp = notes.stamp(collected)
    words = Words(spec.caption, spec.label, (), stamp)
    sections = (
        Section("table1", "Main table", _main(collected, summary, spec, words)),
        *_finetuned(collected, summary, compared, spec, words),
        Section("table-therapist", "On the therapists' questions",
                _therapist(collected, summary, spec, words)),
        Section("published", "Against the published values",
                _published(collected, summary, spec, words)),
        Section("table-detail", "All other columns", _detail(collected, summary, spec, words)),
    )  # fmt: skip
    shown = tuple(section for section in sections if section.tables)
    return Report(spec, collected, summary, compared, shown, stamp)


def _main(
    collected: Collected, summary: pl.DataFrame, spec: ReportSpec, words: Words
) -> tuple[Table, ...]:
    wanted = [w for of_metric in columns(spec, main=True) for w in of_metric]
    found = notes.main_notes(collected, summary, spec, wanted)
    return (score_table(summary, spec, wanted, replace(words, notes=found)),)


def _finetuned(
    collected: Collected,
    summary: pl.DataFrame,
    compared: pl.DataFrame,
    spec: ReportSpec,
    words: Words,
) -> tuple[Section, ...]:
    if not spec.finetunes:
        return ()
    beside = finetuned_tables(collected, summary, compared, spec, words)
    partial = replace(words, notes=tuple(partial_note(collected)))
    faults = failures_figure(failure_series(summary, spec), words.stamp)
    trained = training_figure(curves(spec), words.stamp)
    return (
        Section("table2", "Base and fine-tuned", beside),
        Section("failures", "What goes wrong, by training size",
                failure_tables(summary, spec, partial), (faults,) if faults else ()),
        Section("training", "Training curves",
                training_tables(spec, words), (trained,) if trained else ()),
    )  # fmt: skip


def _therapist(
    collected: Collected, summary: pl.DataFrame, spec: ReportSpec, words: Words
) -> tuple[Table, ...]:
    human = therapist(spec)
    if human is None:
        return ()
    wanted = [w for of_metric in columns(spec, main=True) for w in of_metric]
    words = replace(
        words,
        caption=f"The same metrics on exactly the questions of the row {human.model.label}.",
        label=f"{words.label}-therapist",
        notes=notes.therapist_notes(collected, summary, spec, wanted),
    )
    return (score_table(summary, spec, wanted, words, THERAPIST),)


def _detail(
    collected: Collected, summary: pl.DataFrame, spec: ReportSpec, words: Words
) -> tuple[Table, ...]:
    packed = panels(columns(spec, main=False))
    return tuple(
        score_table(
            summary,
            spec,
            wanted,
            replace(
                words,
                caption=f"Further columns of the metrics ({i} of {len(packed)}).",
                label=f"{words.label}-detail-{i}",
                notes=notes.detail_notes(collected, summary, spec, wanted),
            ),
        )
        for i, wanted in enumerate(packed, 1)
    )


def _published(
    collected: Collected, summary: pl.DataFrame, spec: ReportSpec, words: Words
) -> tuple[Table, ...]:
    if spec.published is None:
        return ()
    found = notes.published_notes(collected)
    words = replace(words, label=f"{words.label}-published", notes=found)
    return published.published_tables(published.load(spec.published), summary, spec, words)
