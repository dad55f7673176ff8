"""``diagnose``: broken answers of a condition answered again, step by step, and their cause."""

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from empathy_core import data, store
from empathy_core.backends import Answer, Request
from empathy_core.diagnosis import Diagnosis, Facts, Observation, Reference, first_difference
from empathy_core.diagnosis import diagnose as find_causes
from empathy_core.errors import ConfigError, Damaged, Incomplete, UnknownName
from empathy_core.metrics.diagnostics import Metric
from empathy_core.store import RunDir, read_json
from empathy_core.types import Condition
from empathy_core.weights import RECORD
from jobs.commands.console import existing, say
from jobs.planning.plan import Plan
from jobs.planning.plan_file import last_plan
from jobs.stages.score import metric_rows
from reports.page import diagnosis as diagnosis_page
from reports.page.diagnosis import Shown

if TYPE_CHECKING:
    from empathy_core.diagnosis.probe import Stepper

FAULTS = ("empty", "special_tokens", "echo", "repetition", "noise", "cut_short")
"""Columns of the metric ``diagnostics``, in the order in which rows are picked."""

REFERENCES = 5
"""Whole reference answers after which the end is looked for, at least (if the run has them)."""


@dataclass(frozen=True)
class _Picked:
    """What is looked at.

    Attributes:
        answers: All answers of the condition (``store.GENERATIONS`` with ``faults``).
        keys: The (example, sample) that are diagnosed.
        counts: Fault → answers that show it.
    """

    answers: pl.DataFrame
    keys: Sequence[tuple[str, int]]
    counts: Mapping[str, int]


def diagnose(options: Namespace) -> int:
    """Answer rows again, show what the model held for probable, and name the cause.

    Raises:
        ConfigError: No condition, or several, are called so; it has no weights; an example is
            not among its answers.
        Incomplete: It has no answers yet.
    """
    run = existing(options)
    plan, _ = last_plan(run)
    condition = named(options.what, plan)
    _check(options, condition)
    examples = data.load(run).filter(pl.col("block").is_not_null())
    picked = _pick(run, condition, examples, options)
    found = _examined(plan, condition, examples, picked, options)
    shown = Shown(picked.answers.height, picked.counts, options.steps, options.top)
    page = diagnosis_page.page(found, shown, _withheld(run, examples))
    path = run.diagnosis(condition.id)
    store.write_bytes(page.encode(), path)
    if options.json:
        say(json.dumps(_as_json(found, shown, path), indent=1, ensure_ascii=False))
    else:
        say(diagnosis_page.text(found, shown))
        say(f"\npage: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return 0


# ---------------------------------------------------------------------------- what is looked at


def named(what: str, plan: Plan) -> Condition:
    """Return the condition that *what* names: its id, or a part that only one id has.

    Raises:
        UnknownName: None does.
        ConfigError: Several do.
    """
    by_id = {c.id: c for c in plan.conditions}
    exact = [c for i, c in by_id.items() if what in (i, i.rpartition("-")[0])]
    found = exact or [c for i, c in by_id.items() if what in i]
    if len(found) == 1:
        return found[0]
    if not found:
        hint = "Give a condition's id, or a part of it that no other has."
        raise UnknownName("condition", what, by_id, hint)
    listed = "\n  ".join(c.id for c in found)
    msg = (
        f"'{what}' stands in {len(found)} conditions; expected a part of one id alone; "
        f"say which:\n  {listed}"
    )
    raise ConfigError(msg)


def _check(options: Namespace, condition: Condition) -> None:
    for name in ("rows", "steps", "top"):
        if getattr(options, name) < 1:
            msg = f"--{name} {getattr(options, name)} shows nothing; expected 1 or more"
            raise ConfigError(msg)
    if condition.model.backend != "hf":
        msg = (
            f"{condition.id} has no weights (backend {condition.model.backend}), so there is "
            "nothing to answer again and no distribution to look at; expected a condition of an "
            "hf model; read its answers in the report instead"
        )
        raise ConfigError(msg)


def _pick(run: RunDir, condition: Condition, examples: pl.DataFrame, options: Namespace) -> _Picked:
    answers = _answers(run, condition, examples)
    counts = {name: sum(name in f for f in answers["faults"]) for name in FAULTS}
    keys = answers.select("example", "sample").rows()
    if options.example:
        known = set(answers["example"])
        for example in options.example:
            if example not in known:
                msg = (
                    f"--example {example}: no answer of {condition.id} is to that example; "
                    f"expected one of its {len(known)}, for example {', '.join(sorted(known)[:3])}"
                )
                raise ConfigError(msg)
        return _Picked(answers, [k for k in keys if k[0] in options.example], counts)
    worst = [min(map(FAULTS.index, f), default=len(FAULTS)) for f in answers["faults"]]
    ordered = sorted(range(len(keys)), key=worst.__getitem__)
    broken = [keys[i] for i in ordered if worst[i] < len(FAULTS)]
    return _Picked(answers, (broken or keys)[: options.rows], counts)


def _answers(run: RunDir, condition: Condition, examples: pl.DataFrame) -> pl.DataFrame:
    """Return all answers in the run's order, with the list of their ``faults``."""
    frames = [
        store.read_piece(path)[1] for path in store.list_pieces(run.generations(condition.id))
    ]
    if not frames:
        msg = f"{condition.id} has no answers yet: expected some; run sweep first"
        raise Incomplete(msg)
    answers = pl.concat(frames).sort("block", maintain_order=True)
    metric = Metric()
    flags = metric.measure(metric_rows(answers, condition, examples), None)
    names = [c.name for c in metric.columns]
    faults = [[name for name in FAULTS if row[names.index(name)]] for row in flags]
    return answers.with_columns(faults=pl.Series(faults, dtype=pl.List(pl.String)))


def _withheld(run: RunDir, examples: pl.DataFrame) -> frozenset[str]:
    """Return the sources whose licence does not let their texts be passed on."""
    sources = read_json(run.audit)["sources"]
    free = {source["name"] for source in sources if source["redistribute"]}
    return frozenset(examples["source"]) - free


# ---------------------------------------------------------------------------- what is seen


def _examined(
    plan: Plan,
    condition: Condition,
    examples: pl.DataFrame,
    picked: _Picked,
    options: Namespace,
) -> Diagnosis:
    from empathy_core.diagnosis import probe as stepping

    stepper = stepping.load(condition.model, plan.overlong)
    stops = stepper.stops(condition)
    look = _Look(stepper, condition, options.top, tuple(s.id for s in stops))
    rows = look.rows(examples, picked)
    chosen = list(dict.fromkeys([k[0] for k in picked.keys] + examples["id"].to_list()))
    wanted = chosen[: max(REFERENCES, len(dict.fromkeys(k[0] for k in picked.keys)))]
    facts = Facts(
        condition,
        stops,
        stepper.vocabulary,
        look.references(examples, wanted),
        _allowed(condition),
        template_unused=not condition.chat and bool(stepper.tokenizer.chat_template),
    )
    return find_causes(rows, facts)


@dataclass(frozen=True)
class _Look:
    """A loaded model and what is asked of it."""

    stepper: "Stepper"
    condition: Condition
    top: int
    ends: tuple[int, ...]

    def rows(self, examples: pl.DataFrame, picked: _Picked) -> list[Observation]:
        """Answer the picked rows again and look at each."""
        again = self._again(examples, picked)
        by_id = {row["id"]: row for row in examples.iter_rows(named=True)}
        stored = {(r["example"], r["sample"]): r for r in picked.answers.iter_rows(named=True)}
        return [self._seen(by_id[k[0]], stored[k], again[k]) for k in picked.keys]

    def _again(self, examples: pl.DataFrame, picked: _Picked) -> dict[tuple[str, int], Answer]:
        """Return the new answers; where batches change the text, whole blocks are answered."""
        if self.condition.block_size is None:
            groups = [list(picked.keys)]
        else:
            frame = picked.answers
            blocks = dict(
                zip(frame.select("example", "sample").rows(), frame["block"], strict=True)
            )
            wanted = sorted({blocks[k] for k in picked.keys})
            groups = [[k for k in blocks if blocks[k] == b] for b in wanted]
        contexts = dict(examples.select("id", "context").iter_rows())
        found: dict[tuple[str, int], Answer] = {}
        for keys in groups:
            asked = [Request(example, sample, contexts[example]) for example, sample in keys]
            found |= zip(keys, self.stepper.answer(self.condition, asked), strict=True)
        return found

    def _seen(self, example: Mapping[str, Any], row: Mapping[str, Any], new: Answer) -> Observation:
        from empathy_core.diagnosis.probe import Asked

        old = Answer(
            text=row["text"],
            stop=row["stop"],
            prompt_sha256=row["prompt_sha256"],
            output_ids=tuple(row["output_ids"]),
        )
        (prompt,) = self.stepper.prompts(self.condition, [example["context"]])
        at = first_difference(old.output_ids, new.output_ids)
        parted = {} if at is None else dict(enumerate(old.output_ids[at : at + 1], at))
        asked = Asked(self.top, self.ends, parted)
        return Observation(
            example=example["id"],
            sample=row["sample"],
            source=example["source"],
            question=example["context"],
            prompt=self.condition.prompt.plain(example["context"]),
            faults=tuple(row["faults"]),
            stored=self.stepper.answered(old, self.condition, prompt.ids),
            rerun=self.stepper.answered(new, self.condition, prompt.ids),
            prompt_tail=tuple(map(self.stepper.written, prompt.ids[-8:])),
            prompt_end=prompt.ids[-1],
            n_prompt_tokens=len(prompt.ids),
            steps=tuple(self.stepper.steps(prompt.ids, new.output_ids, asked)),
        )

    def references(self, examples: pl.DataFrame, wanted: Sequence[str]) -> tuple[Reference, ...]:
        """Return what the model expects after the whole reference answers of these examples."""
        from empathy_core.diagnosis.probe import Asked

        ending = "" if self.condition.chat else self.condition.prompt.ending
        texts = {i: (c, r) for i, c, r in examples.select("id", "context", "response").iter_rows()}
        found = []
        for example in wanted:
            context, response = texts[example]
            (prompt,) = self.stepper.prompts(self.condition, [context])
            asked = Asked(self.top, self.ends, {})
            after = self.stepper.after(prompt.ids, response + ending, asked)
            if after:
                found.append(Reference(example, *after))
        return tuple(found)


def _allowed(condition: Condition) -> tuple[str, ...]:
    """Return the findings that the fine-tune was told to pass over; empty if it is none of ours."""
    if condition.model.adapter is None:
        return ()
    try:
        record = read_json(Path(condition.model.adapter) / RECORD)
    except Damaged:  # a foreign adapter, or one that lies on the Hub
        return ()
    findings = record.get("findings") if isinstance(record, dict) else None
    if not isinstance(findings, dict):
        return ()
    return tuple(name for name, result in findings.items() if result == "allowed")


def _as_json(found: Diagnosis, shown: Shown, page: Path) -> dict[str, Any]:
    return {
        "condition": found.facts.condition.id,
        "answers": shown.n_answers,
        "faults": dict(shown.faults),
        "causes": dict(found.counts),
        "end_after_references": asdict(found.end_after) if found.end_after else None,
        "stops": [asdict(s) | {"proper": s.proper} for s in found.facts.stops],
        "vocabulary": found.facts.vocabulary,
        "rows": [
            asdict(row)
            | {"causes": [asdict(c) for c in causes]}
            | {"steps": [asdict(s) for s in diagnosis_page.chosen(row, found.facts, shown.n_steps)]}
            for row, causes in found.rows
        ],
        "page": str(page),
    }
