"""Which of n samples is the best by a score, and of which questions none may be chosen. Pure."""

import hashlib

import polars as pl

FOUND = 0.5
"""A judge found a fault in a reply whose probability of it, in the judge's answer, is so great."""

RATED: dict[str, pl.DataType] = {
    "example": pl.String(),
    "sample": pl.Int32(),
    "score": pl.Float64(),  # null: the metric gave none
    "red": pl.Boolean(),  # a severe fault was found; null: it was asked for, and is not known
}
"""Schema of what a choice is made of, a row each sample."""

CHOSEN: dict[str, pl.DataType] = {
    "example": pl.String(),
    "sample": pl.Int32(),  # the chosen one; null: none may be chosen
    "score": pl.Float64(),  # of the chosen one
    "tied": pl.Int32(),  # samples with just that score, the chosen one among them
    "unscored": pl.Int32(),  # samples without a score
    "red": pl.Int32(),  # samples with a severe fault, or of which that is not known
}
"""Schema of what was chosen, a row each question, in the order of the samples' rows."""


def choose(rated: pl.DataFrame, n: int, *, better: str, seed: int = 0) -> pl.DataFrame:
    """Return the best of the first *n* samples of each question (``CHOSEN``).

    A sample without a score is not chosen, nor one in which a severe fault was found, or of which
    it is not known whether there is one. Of equal scores the one is taken whose SHA-256 of seed,
    example and number is the least: a draw that knows nothing of length, place or text.

    Args:
        rated: ``RATED``.
        n: Samples of a question.
        better: ``higher`` or ``lower``.
        seed: Of the draw among equals.
    """
    among = rated.filter(pl.col("sample") < n).with_columns(red=pl.col("red").fill_null(value=True))
    counts = among.group_by("example", maintain_order=True).agg(
        unscored=pl.col("score").is_null().sum(), red=pl.col("red").sum()
    )
    sound = among.filter(pl.col("score").is_not_null(), ~pl.col("red"))
    best = pl.col("score").max() if better == "higher" else pl.col("score").min()
    equals = sound.filter(pl.col("score") == best.over("example"))
    draws = [_draw(seed, *row) for row in equals.select("example", "sample").iter_rows()]
    drawn = equals.with_columns(draw=pl.Series(draws, dtype=pl.String)).sort("draw")
    first = drawn.unique("example", keep="first", maintain_order=True)
    tied = equals.group_by("example").agg(tied=pl.len())
    found = counts
    for more in (first.select("example", "sample", "score"), tied):
        found = found.join(more, on="example", how="left", maintain_order="left")
    whole = found.with_columns(pl.col("tied").fill_null(0))
    return whole.select(pl.col(name).cast(kind) for name, kind in CHOSEN.items())


def _draw(seed: int, example: str, sample: int) -> str:
    return hashlib.sha256(f"best of n:{seed}:{example}:{sample}".encode()).hexdigest()
