"""What ``index.html`` shows, in the order it shows it."""

from collections.abc import Sequence

import polars as pl

from reports.collect import Collected
from reports.labels import full_name, row_labels
from reports.notes import metric_name
from reports.report import Report
from reports.spec import ReportSpec


def context(report: Report) -> dict[str, object]:
    """Return the variables of ``index.html.j2``; reads the texts of the examples shown."""
    spec, collected = report.spec, report.collected
    labels = row_labels(spec.conditions)
    pairs = zip(spec.conditions, collected.coverage, strict=True)
    return {
        "title": spec.title,
        "stamp": report.stamp,
        "problems": collected.problems,
        "coverage": [
            {
                "name": full_name(condition, labels),
                "answered": f"{c.n_answered:,}",
                "complete": f"{c.n_complete:,}",
                "expected": f"{c.n_expected:,}",
            }
            for condition, c in pairs
        ],
        "sections": [
            {"anchor": s.file, "title": s.title, "tables": s.tables, "figures": s.figures}
            for s in report.sections
        ],
        "finetuned": bool(spec.finetunes),
        "signatures": [(metric_name(k), m.signature()) for k, m in spec.metrics.items()],
        "audit_text": spec.audit_text,
        "examples": _examples(collected, spec),
        "provenance": sorted(spec.provenance.items()),
    }


def _examples(collected: Collected, spec: ReportSpec) -> list[dict[str, object]]:
    chosen = shown(collected, spec.samples_shown)
    labels = row_labels(spec.conditions)
    ids = chosen["id"].to_list()
    answers = {c.id: _answers(collected, c.id, ids) for c in spec.conditions}
    return [
        {
            "id": example,
            "question": question,
            "answers": [
                {"name": "Reference: the therapist's answer", "text": reference,
                 "reference": True, "absence": ""},
                *(
                    {"name": full_name(c, labels), "reference": False, **answers[c.id][example]}
                    for c in spec.conditions
                ),
            ],
        }
        for example, question, reference in chosen.select("id", "context", "response").iter_rows()
    ]  # fmt: skip


def shown(collected: Collected, n: int) -> pl.DataFrame:
    """Return *n* examples, evenly spaced in the run's order, of those that most rows cover."""
    rows = collected.examples
    for want in collected.expected.values():
        both = rows.join(want, left_on="id", right_on="example", how="semi", maintain_order="left")
        rows = both if both.height >= n else rows
    n = min(n, rows.height)
    return rows[[(2 * i + 1) * rows.height // (2 * n) for i in range(n)]]


def _answers(
    collected: Collected, condition: str, examples: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Return example → its first sample's text, or why there is none."""
    rows = collected.texts(condition, examples).filter(pl.col("sample") == 0)
    texts = dict(rows.select("example", "text").iter_rows())
    wanted = set(collected.expected[condition]["example"])
    found = {}
    for example in examples:
        absence = "(no answer yet)" if example in wanted else "(this row does not cover it)"
        text = texts.get(example)
        if text is not None and not text.strip():
            text, absence = "", "(empty answer)"
        found[example] = {"text": text or "", "absence": absence}
    return found
