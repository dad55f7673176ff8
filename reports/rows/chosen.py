"""Best of n, proven: what was chosen is made again from the scores, and compared byte by byte."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from empathy_core.best_of import CHOSEN
from empathy_core.choice import SampleChoice
from empathy_core.errors import Damaged
from empathy_core.metrics import MetricProtocol
from empathy_core.metrics._best_of import CHOICES, chosen
from empathy_core.store import ADDED, GENERATIONS, RunDir
from empathy_core.types import Condition
from reports.labels import n_of
from reports.rows.pieces import KEY, Problems

_SAME = [name for name in GENERATIONS if name not in ("condition", *KEY)]
"""What an answer that was chosen has in common with the sample that it is."""

Scores = Mapping[tuple[str, str], pl.DataFrame]
"""(condition, key) → sound rows of statistics."""


def read_choices(
    run: RunDir,
    conditions: Sequence[Condition],
    computed: Mapping[str, MetricProtocol],
    scores: Scores,
    files: Mapping[str, Sequence[Path]],
    problems: Problems,
) -> dict[str, pl.DataFrame]:
    """Return condition → what was chosen (``CHOICES``), and add a problem where it does not hold.

    Args:
        run: The run.
        conditions: All of the report.
        computed: Key → metric.
        scores: Of the samples.
        files: Condition → the undamaged files of its answers.
        problems: Sentences, to which those of this check are added.
    """
    found = {}
    for condition in conditions:
        if condition.choice is not None and run.choice(condition.id).exists():
            try:
                record = _record(run.choice(condition.id))
            except Damaged as error:
                problems.append(str(error))
                continue
            found[condition.id] = record
            choice = condition.choice
            again = _again(choice, computed, scores).join(record, on="example", how="semi")
            wrong = _unlike(again, record, files[condition.id], files[choice.of])
            if wrong:
                problems.append(
                    f"{run.choice(condition.id)} is stale: of {n_of(wrong, again.height)} examples "
                    "the answer is not the one that the scores beside it choose: run sweep again"
                )
    return found


def _record(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, columns=list(CHOICES))
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0][:120]
        msg = f"{path} cannot be read ({reason}): expected what was chosen; run sweep again"
        raise Damaged(msg) from error


def _again(
    choice: SampleChoice, computed: Mapping[str, MetricProtocol], scores: Scores
) -> pl.DataFrame:
    """Choose once more, for the examples all of whose samples are there under every score."""
    mine = {key: scores[choice.of, key] for key in choice.scores}
    whole = None
    for rows in mine.values():
        full = rows.filter(pl.col("sample") < choice.n).group_by("example").len()
        examples = full.filter(pl.col("len") == choice.n).select("example")
        whole = examples if whole is None else whole.join(examples, on="example", how="semi")
    there = {k: rows.join(whole, on="example", how="semi", maintain_order="left")
             for k, rows in mine.items()} if whole is not None else mine  # fmt: skip
    return chosen(choice, computed, there)


def _unlike(
    again: pl.DataFrame, record: pl.DataFrame, own: Sequence[Path], samples: Sequence[Path]
) -> int:
    """Return in how many examples record or answer differ from what is chosen now."""
    beside = again.join(record, on="example", how="left", maintain_order="left", suffix="_written")
    others = [name for name in CHOSEN if name != "example"]
    same = pl.all_horizontal(pl.col(n).eq_missing(pl.col(f"{n}_written")) for n in others)
    stale = set(beside.filter(~same)["example"])
    picked = again.filter(pl.col("sample").is_not_null()).select(KEY)
    wanted = _rows(samples).join(picked, on=KEY, how="semi")
    written = _rows(own).join(again.select("example"), on="example", how="semi")
    texts = {row[0]: row for row in wanted.select("example", *_SAME).iter_rows()}
    there = {row[0]: row for row in written.select("example", *_SAME).iter_rows()}
    return len(stale | {e for e in {*texts, *there} if texts.get(e) != there.get(e)})


def _rows(files: Sequence[Path]) -> pl.DataFrame:
    if not files:
        return pl.DataFrame(schema=GENERATIONS)
    scanned = pl.scan_parquet(list(files), schema=GENERATIONS, missing_columns="insert")
    filled = scanned.with_columns(pl.col(name).fill_null(v) for name, v in ADDED.items())
    return filled.collect().unique(KEY, keep="any")
