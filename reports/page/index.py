"""What ``index.html`` shows, in the order it shows it."""

import shlex
from collections.abc import Iterator

from empathy_core.types import Condition
from reports.build import Report
from reports.keys import metric_name
from reports.labels import answering_facts, full_name, row_labels
from reports.page.examples import browser
from reports.rows.collect import Coverage
from reports.spec import ReportSpec

CHANGES = "uncommitted changes"
"""The entry of the provenance that may be thousands of lines."""


def context(report: Report) -> dict[str, object]:
    """Return the variables of ``index.html.j2``; reads the texts of the examples."""
    spec = report.spec
    provenance = dict(sorted(spec.provenance.items()))
    changes = provenance.get(CHANGES, "none")
    if changes != "none":
        provenance[CHANGES] = f"{len(changes.splitlines()):,} lines, below"
    return {
        "title": spec.title,
        "stamp": report.stamp,
        "facts": list(_facts(report)),
        "explain": spec.commands.explain,
        "problems": report.collected.problems,
        "sections": [
            {"anchor": s.file, "title": s.title, "tables": s.tables, "figures": s.figures}
            for s in report.sections
        ],
        "conditions": _conditions(spec, report.collected.coverage),
        "browser": browser(report.collected, spec),
        "withheld": spec.withheld,
        "not_to_pass_on": spec.not_to_pass_on,
        "signatures": [(metric_name(k), m.signature()) for k, m in spec.metrics.items()],
        "audit_text": spec.audit_text,
        "commands": spec.commands,
        "provenance": list(provenance.items()),
        "changes": "" if changes == "none" else changes,
    }


def _facts(report: Report) -> Iterator[str]:
    """Yield what the report is about, in numbers."""
    examples, coverage = report.collected.examples, report.collected.coverage
    yield f"{examples.height:,} examples, {examples['question'].n_unique():,} questions"
    yield f"{len(coverage):,} conditions"
    yield f"{sum(c.n_answered for c in coverage):,} answers"
    yield f"{len(report.spec.metrics):,} metrics"
    yield f"data {report.spec.data_digest[:16]}"


# ---------------------------------------------------------------------------- conditions


def _conditions(spec: ReportSpec, coverage: tuple[Coverage, ...]) -> list[dict[str, object]]:
    labels, keys = row_labels(spec.conditions), spec.keys()
    return [
        {
            "name": full_name(condition, labels),
            "key": keys.condition(condition.id),
            "counts": (c.n_answered, c.n_complete, c.n_expected, c.n_empty, c.n_cut),
            "facts": [(name, value) for name, value in _told(condition, c, spec) if value],
            "prompt": list(_prompt(condition)),
            "commands": _commands(spec, keys.condition(condition.id)),
        }
        for condition, c in zip(spec.conditions, coverage, strict=True)
    ]


def _told(condition: Condition, c: Coverage, spec: ReportSpec) -> Iterator[tuple[str, str]]:
    """Yield what makes the condition what it is; an empty value is not shown."""
    model, is_hf = condition.model, condition.model.backend == "hf"
    yield "id", condition.id
    yield "answers", f"{c.n_answered:,} of {c.n_expected:,}, {c.n_complete:,} with every score"
    yield "made by", _MADE_BY[model.backend]
    yield "weights", "@".join(filter(None, (model.weights, model.revision)))
    yield "fingerprint", condition.fingerprint
    yield "adapter", "@".join(filter(None, (model.adapter, model.adapter_revision)))
    yield "adapter's digest", spec.adapters.get(condition.id, "")
    yield "tokenizer", model.tokenizer or ""
    yield "licence of the weights", model.licence
    yield "dtype", model.dtype if is_hf else ""
    yield "quantization", model.quantization or condition.stored_quantization
    yield from answering_facts(condition) if is_hf else ()
    yield "questions in a batch", str(condition.block_size or "")
    yield "options", ", ".join(f"{name} = {value}" for name, value in model.options)
    yield "origin of the prompt", condition.prompt.origin if is_hf else ""


_MADE_BY = {
    "hf": "a model",
    "echo": "an echo of the prompt, without weights",
    "human": "people: another therapist's answer to the same question",
    "answers": "a file of texts made elsewhere",
}


def _prompt(condition: Condition) -> Iterator[tuple[str, str]]:
    """Yield the prompt as the model is given it, before a chat template: (what, text)."""
    if condition.model.backend == "human":
        return
    if not condition.chat:
        yield "prompt", condition.prompt.text
        return
    for message in condition.prompt.messages:
        yield f"prompt, {message.role}", message.content


def _commands(spec: ReportSpec, key: str) -> list[tuple[str, str]]:
    """Return the commands that tell of a condition and make it again: (what, command)."""
    told, again = spec.commands.explain, spec.commands.again
    explained = [("its files and scores", f"{told} {shlex.quote(key)}")] if told else []
    return explained + ([("makes it again", again)] if again else [])
