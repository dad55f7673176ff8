"""The report of a run, written so that it appears whole."""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
from polars import selectors

from empathy_core.store import RunDir, make_dir, one_name, read_json, write_bytes
from reports.build import Report, build
from reports.changes import VERSION
from reports.labels import full_name, row_labels
from reports.latex.macros import macros
from reports.latex.methods import methods, methods_label
from reports.latex.table import fragment, standalone
from reports.numbers import results
from reports.page import html, index
from reports.rows.collect import Coverage, collect
from reports.spec import SETTINGS, ReportSpec
from reports.tables import terminal

RECORD = "version.json"
"""File of a report that says of which version its numbers are; see ``changes``."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a report found.

    Attributes:
        text: The main table for a terminal, and the adapters beside their bases.
        summary: Every number (``aggregate.SUMMARY``).
        problems: What is missing or wrong; empty if the run is whole.
        kept: Where the report of another version of the numbers is, which this one replaces; null
            if there was none.
    """

    folder: Path
    text: str
    summary: pl.DataFrame
    coverage: tuple[Coverage, ...]
    problems: tuple[str, ...]
    kept: Path | None = None


def write_report(run: RunDir, spec: ReportSpec, *, partial: bool = False) -> Written:
    """Merge the run and write its tables and page; *partial* stamps what is there.

    Side effect: ``report/`` is replaced as a whole; one by another version of the suite, whose
    numbers may be others, is kept beside it. Everything in it but ``index.html`` is made
    of the rows and *spec* alone: no time, path, name or executor enters, so that equal rows give
    equal bytes.

    Raises:
        Incomplete: The run is not whole and *partial* is not set; an older report stays.
        Damaged: The run's examples cannot be read.
        StorageError: The disk is full.
    """
    report = build(collect(run, spec, partial=partial), spec)
    with run.task_lock("report"):
        kept = _earlier(run)
        _replace(run.report, _files(report), kept)
    main = [
        t for s in report.sections if s.file in ("table1", "table2", "table3") for t in s.tables
    ]
    found = report.collected
    text = "\n\n".join(map(terminal.text, main))
    return Written(run.report, text, report.summary, found.coverage, found.problems, kept)


def _earlier(run: RunDir) -> Path | None:
    """Return where the report that stands is to be kept, if another version of numbers wrote it."""
    version = version_of(run.report) if run.report.is_dir() else VERSION
    return None if version == VERSION else run.earlier_report(version)


def version_of(report: Path) -> int:
    """Return the version of a report's numbers; those before versions were recorded are 0.

    Raises:
        Damaged: The record cannot be read.
    """
    path = report / RECORD
    return int(read_json(path)["numbers"]) if path.exists() else 0


def _replace(final: Path, files: Iterable[tuple[str, bytes]], kept: Path | None = None) -> None:
    """Write *files* into a folder beside *final*, then let it take the place of *final*.

    What was there goes to *kept*, if that is given, in the place of what is there.

    A folder that is not empty cannot be renamed over, so the old one is renamed away first. What
    a killed report left beside *final* goes too: the lock says that nobody is at work on it.
    """
    for left in final.parent.glob(f".{final.name}.*"):
        shutil.rmtree(left)
    new, old = (final.with_name(f".{final.name}.{end}") for end in ("new", "old"))
    try:
        make_dir(new)
        for name, content in files:
            stem, dot, ending = name.rpartition(".")
            write_bytes(content, new / one_name(stem, dot + ending))
        if kept:
            shutil.rmtree(kept, ignore_errors=True)
        with suppress(FileNotFoundError):
            final.rename(kept or old)
        new.rename(final)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _files(report: Report) -> Iterator[tuple[str, bytes]]:
    for name, text in _texts(report):
        yield name, text.encode()
    for figure in (figure for section in report.sections for figure in section.figures):
        yield f"{figure.name}.svg", figure.svg.encode()
        yield f"{figure.name}.pdf", figure.pdf


def _texts(report: Report) -> Iterator[tuple[str, str]]:
    label = methods_label(report.spec.label)
    tables = [table for section in report.sections for table in section.tables]
    yield "methods.tex", methods(tables, label, report.stamp)
    for section in (section for section in report.sections if section.tables):
        title = f"{report.spec.title}: {section.title}"
        yield f"{section.file}.tex", fragment(section.tables, label)
        grey = any(table.has_grey for table in section.tables)
        alone = standalone(f"{section.file}.tex", report.stamp, grey=grey)
        yield f"{section.file}-standalone.tex", alone
        yield f"{section.file}.html", html.table_page(section.tables, title, report.stamp)
    for name, frame in _frames(report):
        if frame.height:
            yield f"{name}.csv", csv(frame)
    yield "macros.tex", macros(report.results, report.stamp, report.spec.title)
    yield "summary.csv", csv(report.summary)
    yield "summary.json", json.dumps(summary_json(report), indent=1, ensure_ascii=False) + "\n"
    for name, record in ((RECORD, {"numbers": VERSION}), (SETTINGS, report.spec.settings)):
        if record:
            marked = {**record, "stamp": report.stamp}
            yield name, json.dumps(marked, indent=1, ensure_ascii=False) + "\n"
    yield "index.html", html.page(index.context(report))


def _frames(report: Report) -> Iterator[tuple[str, pl.DataFrame]]:
    yield "comparisons", report.compared
    yield "pairs", report.pairs
    yield "contrasts", report.numbers.contrasts
    yield "prompts", report.spreads
    yield "movers", report.moved
    yield "table3", report.made
    yield "best-of-n", report.chosen
    yield "repeats", report.repeated
    yield "judge-ratings", report.judges.judges
    yield "judge-checks", report.judges.checks
    yield "judge-bounds", report.judges.bounds
    yield "judge-agreement", report.judges.agreement
    yield "agreement", report.people.agreement.agreement
    yield "agreement-raters", report.people.agreement.raters
    yield "agreement-means", report.people.agreement.means
    yield "agreement-left-out", report.people.agreement.ratings.left_out
    yield "calibration", report.people.calibration.statistics
    yield "calibration-bias", report.people.calibration.biases
    yield "calibration-tests", report.people.calibration.alternative
    yield "people", report.corrected
    yield "flag-rates", report.flags
    yield "preferences", report.preferred
    yield "correlations", report.correlated
    yield "results", results.frame(report.results)


def csv(frame: pl.DataFrame) -> str:
    """Return a frame as CSV, numbers rounded to 6 decimals; null is an empty field."""
    rounded = selectors.float().round(6) + 0.0  # + 0.0: minus zero becomes zero
    return frame.with_columns(rounded).write_csv(float_precision=6)


def summary_json(report: Report) -> dict[str, Any]:
    """Return the summary in full precision, with signatures, coverage and notes."""
    spec, collected = report.spec, report.collected
    labels = row_labels(spec.conditions)
    return {
        "title": spec.title,
        "data": spec.data_digest,
        "partial": collected.partial,
        "stamp": report.stamp,
        "conditions": [
            {"label": full_name(condition, labels), **asdict(coverage)}
            for condition, coverage in zip(spec.conditions, collected.coverage, strict=True)
        ],
        "metrics": {
            key: {"signature": m.signature(), "columns": [asdict(c) for c in m.columns]}
            for key, m in spec.metrics.items()
        },
        "assumed": dict(spec.assumed),
        "notes": {s.file: [t.words.sentences for t in s.tables] for s in report.sections},
        "summary": report.summary.to_dicts(),
        **({"comparisons": report.compared.to_dicts()} if spec.finetunes else {}),
    }
