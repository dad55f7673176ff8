"""Where candidates come from: written by hand, read from a file, proposed from the worst replies.

They are written once, with all that were dropped and why; from then on they are what the rounds
choose from.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from empathy_core import prompts
from empathy_core.errors import ConfigError, Damaged, Incomplete, RunMismatch
from empathy_core.prompts.instructions import wording_digest
from empathy_core.refining import candidates, proposing
from empathy_core.refining.candidates import PromptCandidate, ProposalOrigin
from empathy_core.refining.proposing import WorstRow
from empathy_core.store import json_lines, write_bytes
from jobs.commands.refining.steps import StepRunner, rated
from jobs.config.refinements import RefineColumn, from_file, prompts_by_hand, worst_by
from jobs.config.schema import Config
from jobs.planning.refining.configs import PROPOSE, WORST, propose_config, round_config
from jobs.planning.refining.settings import BegunRefinement, write_prompt
from reports.labels import column_title, number
from reports.numbers.refined import PromptRows, RowsOfRun

WORST_COLUMNS: dict[str, Any] = {
    "example": pl.String,
    "score": pl.Float64,  # of the column by which rows are ordered; rows without one are left out
    "question": pl.String,
    "reply": pl.String,
}
"""Columns of ``worst.csv``, the worst first."""


def found(config: Config, begun: BegunRefinement, runner: StepRunner) -> list[PromptCandidate]:
    """Return all candidates, those that take no part as well.

    Raises:
        StepPending: They are being proposed.
        ConfigError: None takes part.
        RunMismatch: Others were declared when candidates were frozen.
    """
    if begun.folder.candidates.exists():
        return _frozen(begun)
    made = [*candidates.by_hand(prompts_by_hand(begun.table), begun.parent)]
    made += from_file(begun.table, begun.parent)
    if begun.table.proposer is not None or not made:
        worst = _worst(config, begun, runner)
        made += _proposed(config, begun, runner, worst) if begun.table.proposer else []
    made = candidates.told_apart(made, begun.parent)
    candidates.require_names(made, begun.parent)
    _require_some(begun, made)
    for one in made:
        if one.prompt is not None and not one.dropped:
            write_prompt(begun.folder, one.prompt)
    lines = "".join(json.dumps(one.record(), ensure_ascii=False) + "\n" for one in made)
    write_bytes(lines.encode(), begun.folder.candidates)
    return made


def taking_part(made: Sequence[PromptCandidate]) -> list[str]:
    """Return the names of the candidates that were not dropped, in their order."""
    return [one.name for one in made if one.prompt is not None and not one.dropped]


def _frozen(begun: BegunRefinement) -> list[PromptCandidate]:
    """Return the candidates that were frozen, with their prompts.

    Raises:
        Damaged: A file is not what was written.
        RunMismatch: The table names other prompts than then.
    """
    recorded = _recorded(begun)
    _require_declared(begun, recorded)
    made = []
    for one, digest in recorded:
        if not one.dropped:
            prompt = prompts.read(begun.folder.prompt(one.name))
            if wording_digest(prompt) != digest:
                msg = (
                    f"{begun.folder.prompt(one.name)} is not the prompt that was frozen: expected "
                    "its words unchanged; restore it, or begin a refinement of another name"
                )
                raise Damaged(msg)
            made.append(replace(one, prompt=prompt))
        else:
            made.append(one)
    return made


_Recorded = tuple[PromptCandidate, str | None]
"""A candidate without its prompt, and the digest of that prompt's words; null without a prompt."""


def _recorded(begun: BegunRefinement) -> list[_Recorded]:
    """Return what was written of the candidates.

    Raises:
        Damaged: The file is not what was written.
    """
    path = begun.folder.candidates
    try:
        records = list(map(json.loads, json_lines(path.read_text(encoding="utf-8"))))
        digests = [record.pop("digest") for record in records]
        made = [PromptCandidate(prompt=None, **{**r, "shown": tuple(r["shown"])}) for r in records]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = (
            f"{path} cannot be read ({error}): expected the candidates as they were frozen, a line "
            "of JSON each; restore it from a copy, or begin a refinement of another name"
        )
        raise Damaged(msg) from error
    return list(zip(made, digests, strict=True))


def _require_declared(begun: BegunRefinement, recorded: Sequence[_Recorded]) -> None:
    """Refuse a table that names other candidates than were frozen.

    Raises:
        RunMismatch: Naming what changed.
    """
    table, parent = begun.table, begun.parent
    then = {one.name: digest for one, digest in recorded if one.made == "hand"}
    now = {prompt.name: wording_digest(prompt) for prompt in prompts_by_hand(table)}
    changed = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
    n_proposed = sum(one.made == "proposed" for one, _ in recorded)
    if n_proposed != (table.proposals if table.proposer else 0):
        changed.append("proposer or proposals")
    in_file = [(one.name, one.said) for one, _ in recorded if one.made == "file"]
    if in_file != [(one.name, one.said) for one in from_file(table, parent)]:
        changed.append("candidates_file")
    if changed:
        msg = (
            f"the candidates of '{begun.name}' are frozen, and not what the table says now "
            f"({', '.join(changed)}): expected those that were declared then; restore them, or "
            "begin a refinement of another name"
        )
        raise RunMismatch(msg)


def _require_some(begun: BegunRefinement, made: Sequence[PromptCandidate]) -> None:
    if taking_part(made):
        return
    if not made:
        msg = (
            f"[refine.{begun.name}] has no candidate: expected prompts that somebody wrote, or a "
            f"model that proposes them. The parent's worst replies are in {begun.folder.worst}; "
            "write candidates = […], or set proposer"
        )
        raise ConfigError(msg)
    reasons = "; ".join(f"{one.name}: {one.dropped}" for one in made[:5])
    msg = (
        f"no candidate of '{begun.name}' can take part ({reasons}): expected at least one prompt "
        "unlike the parent; write one under candidates, or let another model propose"
    )
    raise ConfigError(msg)


# ---------------------------------------------------------------------------- proposed


def _worst(config: Config, begun: BegunRefinement, runner: StepRunner) -> list[WorstRow]:
    """Return the parent's replies to the proposing rows, the worst first; they are written down."""
    by = worst_by(config, begun.table)
    folder = begun.folder
    path = folder.prompt(begun.parent.name)
    asked = round_config(config, begun.table, WORST, [path], folder.ids(WORST), by)
    part = runner.rows(asked, folder.step(WORST))
    try:
        rows = PromptRows.of([part], [begun.parent.name], by.name)
    except Incomplete as error:
        raise Incomplete(f"{error}; {rated(folder.step(WORST))}") from error
    frame = _ordered(part, rows, begun.parent.name, by)
    write_bytes(frame.write_csv().encode(), folder.worst)
    return [
        WorstRow(row["example"], row["question"], row["reply"], number(row["score"], rows.column))
        for row in frame.iter_rows(named=True)
    ]


def _ordered(part: RowsOfRun, rows: PromptRows, parent: str, by: RefineColumn) -> pl.DataFrame:
    """Return ``WORST_COLUMNS``, of rows with a score."""
    examples = part.collected.examples.select(example="id", question="context")
    texts = part.collected.texts(part.condition(parent).id, examples["example"].to_list())
    replies = texts.filter(pl.col("sample") == 0).select("example", reply="text")
    scores = rows.each(parent)
    order = pl.DataFrame({"example": _examples(part, parent), "score": scores})
    kept = order.filter(pl.Series(~np.isnan(scores)))
    whole = kept.join(examples, "example", "left").join(replies, "example", "left")
    better = rows.column.better if by.column is None else by.better
    ordered = whole.sort("score", "example", descending=[better == "lower", False])
    return ordered.select(*WORST_COLUMNS)


def _examples(part: RowsOfRun, prompt: str) -> pl.Series:
    expected = part.collected.expected[part.condition(prompt).id]
    return expected["example"].unique(maintain_order=True)


def _proposed(
    config: Config, begun: BegunRefinement, runner: StepRunner, worst: Sequence[WorstRow]
) -> list[PromptCandidate]:
    """Return what the proposer returned, what cannot be used with the reason."""
    table, folder = begun.table, begun.folder
    if not worst:
        msg = (
            "none of the parent's replies has a score, so that there are no worst ones: expected "
            f"some by '{table.worst_by or table.target}'; set worst_by to another column"
        )
        raise ConfigError(msg)
    dealt = proposing.dealt(
        worst[: max(table.shown, len(worst) // 2)], table.proposals, table.shown
    )
    by = worst_by(config, table)
    called = f"{column_title(by.column) if by.column else by.name} ({by.better} is better)"
    lines = [
        json.dumps(
            {
                "brief": proposing.brief(begun.parent, rows, i, called),
                "parent": begun.parent.name,
                "shown": [row.example for row in rows],
            },
            ensure_ascii=False,
        )
        for i, rows in enumerate(dealt, start=1)
    ]
    write_bytes(("\n".join(lines) + "\n").encode(), folder.briefs)
    part = runner.rows(propose_config(config, table, folder.briefs), folder.step(PROPOSE))
    (condition,) = part.spec.conditions
    placed = part.collected.examples.select(example="id", row="row")
    texts = part.collected.texts(condition.id, placed["example"].to_list())
    said = texts.filter(pl.col("sample") == 0).join(placed, "example").sort("row")
    seed, template = condition.decoding.seed, proposing.TEMPLATE.stem
    shown = [tuple(row.example for row in rows) for rows in dealt]
    return [
        candidates.proposed(
            text,
            row + 1,
            begun.parent,
            ProposalOrigin(shown[row], condition.id, seed, template),
        )
        for row, text in said.select("row", "text").iter_rows()
    ]
