"""Broken answers of a condition, answered again step by step, and their cause."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from empathy_core import data, store
from empathy_core.backends import Answer, Request
from empathy_core.data.contexts import contexts_of
from empathy_core.diagnosis import Diagnosis, Facts, Observation, Reference, first_difference
from empathy_core.diagnosis import diagnose as find_causes
from empathy_core.errors import ConfigError, Damaged, Incomplete, UnknownName
from empathy_core.metrics.diagnostics import Metric
from empathy_core.store import EVALUATED, RunDir, read_json
from empathy_core.types import Condition
from empathy_core.weights import RECORD
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


@dataclass(frozen=True, slots=True)
class LookedAt:
    """How much is looked at.

    Attributes:
        rows: Answers at most, unless examples are named.
        steps: Of each answer.
        top: Most probable tokens of each step.
    """

    rows: int
    steps: int
    top: int


def diagnosed(
    run: RunDir, what: str, wanted: Sequence[str], limits: LookedAt, *, as_json: bool
) -> tuple[str, Path]:
    """Answer rows of a condition again, and name the cause; return the text and the page.

    Args:
        run: The run.
        what: Names the condition: see ``named``.
        wanted: Ids of the examples that are answered again; empty means the broken ones first.
        limits: How much is looked at.
        as_json: Whether the text is JSON.

    Raises:
        ConfigError: No condition, or several, are called so; it has no weights; an example is
            not among its answers.
        Incomplete: It has no answers yet.
    """
    plan, _ = last_plan(run)
    condition = named(what, plan)
    _check(limits, condition)
    examples = data.load(run).filter(EVALUATED)
    picked = _pick(run, condition, examples, wanted, limits.rows)
    diagnosis = _examined(plan, condition, examples, picked, limits.top)
    shown = Shown(picked.answers.height, picked.counts, limits.steps, limits.top)
    page = diagnosis_page.page(diagnosis, shown, _withheld(run, examples))
    path = run.diagnosis(condition.id)
    store.write_bytes(page.encode(), path)
    if as_json:
        return json.dumps(_as_json(diagnosis, shown, path), indent=1, ensure_ascii=False), path
    return diagnosis_page.text(diagnosis, shown), path


# ---------------------------------------------------------------------------- what is looked at


def named(what: str, plan: Plan) -> Condition:
    """Return the condition that *what* names: its id, or a part that only one id has.

    Raises:
        UnknownName: None does.
        ConfigError: Several do.
    """
    by_id = {c.id: c for c in plan.conditions}
    exact = [c for i, c in by_id.items() if what in (i, i.rpartition("-")[0])]
    matching = exact or [c for i, c in by_id.items() if what in i]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        hint = "Give a condition's id, or a part of it that no other has."
        raise UnknownName("condition", what, by_id, hint)
    listed = "\n  ".join(c.id for c in matching)
    msg = (
        f"'{what}' is part of {len(matching)} conditions; expected a part of one id alone; "
        f"say which:\n  {listed}"
    )
    raise ConfigError(msg)


def _check(limits: LookedAt, condition: Condition) -> None:
    for name in ("rows", "steps", "top"):
        if getattr(limits, name) < 1:
            msg = f"--{name} {getattr(limits, name)} shows nothing; expected 1 or more"
            raise ConfigError(msg)
    if condition.model.backend != "hf":
        msg = (
            f"{condition.id} has no weights (backend {condition.model.backend}), so there is "
            "nothing to answer again and no distribution to look at; expected a condition of an "
            "hf model; read its answers in the report instead"
        )
        raise ConfigError(msg)
    engine = condition.model.engine
    if engine is not None and not engine.returns_tokens:
        msg = (
            f"{condition.id} was answered by engine '{engine.name}', which gives no ids back, "
            "so that nothing can be looked at token by token; expected stored ids; read its "
            "answers in the report instead"
        )
        raise ConfigError(msg)


def _pick(
    run: RunDir, condition: Condition, examples: pl.DataFrame, wanted: Sequence[str], n_rows: int
) -> _Picked:
    answers = _answers(run, condition, examples)
    counts = {name: sum(name in f for f in answers["faults"]) for name in FAULTS}
    keys = answers.select("example", "sample").rows()
    if wanted:
        known = set(answers["example"])
        for example in wanted:
            if example not in known:
                msg = (
                    f"--example {example}: no answer of {condition.id} is to that example; "
                    f"expected one of its {len(known)}, for example {', '.join(sorted(known)[:3])}"
                )
                raise ConfigError(msg)
        return _Picked(answers, [k for k in keys if k[0] in wanted], counts)
    worst = [min(map(FAULTS.index, f), default=len(FAULTS)) for f in answers["faults"]]
    ordered = sorted(range(len(keys)), key=worst.__getitem__)
    broken = [keys[i] for i in ordered if worst[i] < len(FAULTS)]
    return _Picked(answers, (broken or keys)[:n_rows], counts)


def _answers(run: RunDir, condition: Condition, examples: pl.DataFrame) -> pl.DataFrame:
    """Return all answers in the run's order, with the list of their ``faults``."""
    _, frames = store.read_rows(run.generations(condition.id))
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
    top: int,
) -> Diagnosis:
    from empathy_core.diagnosis import probe

    stepper = probe.load(condition.model, plan.overlong)
    stops = stepper.stops(condition)
    look = _Look(stepper, condition, top, tuple(s.id for s in stops))
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
        rows = zip(examples.iter_rows(named=True), contexts_of(examples), strict=True)
        by_id = {row["id"]: {**row, "asked": context} for row, context in rows}
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
        contexts = dict(zip(examples["id"], contexts_of(examples), strict=True))
        answers: dict[tuple[str, int], Answer] = {}
        for keys in groups:
            asked = [Request(example, sample, contexts[example]) for example, sample in keys]
            answers |= zip(keys, self.stepper.answer(self.condition, asked), strict=True)
        return answers

    def _seen(self, example: Mapping[str, Any], row: Mapping[str, Any], new: Answer) -> Observation:
        from empathy_core.diagnosis.probe import Asked

        old = Answer(
            text=row["text"],
            stop=row["stop"],
            prompt_sha256=row["prompt_sha256"],
            output_ids=tuple(row["output_ids"]),
        )
        (prompt,) = self.stepper.prompts(self.condition, [example["asked"]])
        at = first_difference(old.output_ids, new.output_ids)
        parted = {} if at is None else dict(enumerate(old.output_ids[at : at + 1], at))
        asked = Asked(self.top, self.ends, parted)
        return Observation(
            example=example["id"],
            sample=row["sample"],
            source=example["source"],
            question=example["context"],
            prompt=self.condition.prompt.plain(example["asked"]),
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
        asked = zip(contexts_of(examples), examples["response"], strict=True)
        texts = dict(zip(examples["id"], asked, strict=True))
        references = []
        for example in wanted:
            context, response = texts[example]
            (prompt,) = self.stepper.prompts(self.condition, [context])
            steps = Asked(self.top, self.ends, {})
            after = self.stepper.after(prompt.ids, response + ending, steps)
            if after:
                references.append(Reference(example, *after))
        return tuple(references)


def _allowed(condition: Condition) -> tuple[str, ...]:
    """Return the findings that the fine-tune was allowed to have; empty if it is none of ours."""
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


def _as_json(diagnosis: Diagnosis, shown: Shown, page: Path) -> dict[str, Any]:
    facts = diagnosis.facts
    return {
        "condition": facts.condition.id,
        "answers": shown.n_answers,
        "faults": dict(shown.faults),
        "causes": dict(diagnosis.counts),
        "end_after_references": asdict(diagnosis.end_after) if diagnosis.end_after else None,
        "stops": [asdict(s) | {"proper": s.proper} for s in facts.stops],
        "vocabulary": facts.vocabulary,
        "rows": [
            asdict(row)
            | {"causes": [asdict(c) for c in causes]}
            | {"steps": [asdict(s) for s in diagnosis_page.chosen(row, facts, shown.n_steps)]}
            for row, causes in diagnosis.rows
        ],
        "page": str(page),
    }
