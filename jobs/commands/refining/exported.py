"""A refinement's rows and candidates as JSONL, as DSPy and its likes read them; never test rows."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core.counted import counted
from empathy_core.errors import ConfigError
from empathy_core.prompts.instructions import instruction_of
from empathy_core.store import RunDir, json_lines, write_bytes
from jobs.config.schema import Config
from jobs.planning.refining.settings import BegunRefinement
from jobs.planning.resolving.run_rows import examples_of
from reports.numbers.refined import RANKINGS

EXAMPLES, CANDIDATES = "examples.jsonl", "candidates.jsonl"


def export(begun: BegunRefinement, config: Config, run: RunDir, folder: Path) -> str:
    """Write ``examples.jsonl`` and ``candidates.jsonl``, and return what was written, in words.

    An example is ``question``, ``answer`` (the reference), ``example`` and ``use`` (``propose`` or
    ``score``); a candidate is ``name``, ``instructions`` and what is known of it.

    Raises:
        ConfigError: The folder cannot be written.
    """
    try:
        examples = _written(_examples(begun, config, run), folder / EXAMPLES)
        candidates = _written(_candidates(begun), folder / CANDIDATES)
    except OSError as error:
        msg = (
            f"--export {folder}: {error.strerror}; expected a folder that you may write to; "
            "choose another"
        )
        raise ConfigError(msg) from error
    return (
        f"{folder / EXAMPLES}: {counted(examples, 'validation example')}\n"
        f"{folder / CANDIDATES}: {counted(candidates, 'prompt')}"
    )


def _written(lines: Iterable[Mapping[str, Any]], path: Path) -> int:
    whole = [json.dumps(line, ensure_ascii=False) + "\n" for line in lines]
    write_bytes("".join(whole).encode(), path)
    return len(whole)


def _examples(begun: BegunRefinement, config: Config, run: RunDir) -> Iterator[dict[str, Any]]:
    """Yield the validation rows of the refinement, in the order in which they were drawn."""
    uses = dict.fromkeys(begun.rows.proposing, "propose")
    uses |= dict.fromkeys((i for ids in begun.rows.rounds for i in ids), "score")
    rows = examples_of(config, run).filter(pl.col("id").is_in(list(uses)))
    texts = {row["id"]: row for row in rows.iter_rows(named=True)}
    for name, use in uses.items():
        yield {
            "example": name,
            "use": use,
            "question": texts[name]["context"],
            "answer": texts[name]["response"],
        }


def _candidates(begun: BegunRefinement) -> Iterator[dict[str, Any]]:
    """Yield the parent, and the candidates with their score in the last round that they were in."""
    scores = _scores(begun)
    instruction = instruction_of(begun.parent)
    yield {
        "name": begun.parent.name,
        "instructions": instruction,
        **scores.get(begun.parent.name, {}),
    }
    if not begun.folder.candidates.exists():
        return
    for line in json_lines(begun.folder.candidates.read_text(encoding="utf-8")):
        record = json.loads(line)
        known = {key: record[key] for key in ("name", "parent", "made", "dropped")}
        yield {**known, "instructions": record["said"], **scores.get(record["name"], {})}


def _scores(begun: BegunRefinement) -> dict[str, dict[str, Any]]:
    if not begun.folder.rankings.exists():
        return {}
    frame = pl.read_csv(begun.folder.rankings, schema=RANKINGS).sort("round")
    return {
        row["candidate"]: {key: row[key] for key in ("round", "score", "rows")}
        for row in frame.iter_rows(named=True)
    }
