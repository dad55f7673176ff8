"""What a reader must know of the data before believing a table made from it. Pure over frames.

Counts are of the kept rows unless their name says otherwise; exact duplicates are counted over all
cleaned rows, before any was dropped.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from empathy_core.data import near_duplicates as neighbours
from empathy_core.data import redaction, references
from empathy_core.data.cleaning import CLEANING_VERSION
from empathy_core.data.contexts import has_turns
from empathy_core.data.specs import SPLITS, Source
from empathy_core.data.turns_audit import quantiles, turns_audited
from empathy_core.data.word_counts import word_counts
from empathy_core.personal.counts import counted
from empathy_core.store import EVALUATED


@dataclass(frozen=True, slots=True)
class SourceAudit:
    """What became of the rows of one source.

    Attributes:
        dropped: Reason → rows.
        repaired: Kind → rows.
        conversations: That the source holds; null for one of single questions.
        redacted: Kind of personal data → where it stood → how often a placeholder took its place;
            empty where nothing was to be replaced.
        misread: See ``cleaning.Cleaned``.
    """

    source: Source
    raw: int
    kept: int
    dropped: Mapping[str, int]
    repaired: Mapping[str, int]
    conversations: int | None = None
    redacted: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    misread: Sequence[tuple[str, str]] = ()


def audit(
    counts: Sequence[SourceAudit], cleaned: pl.DataFrame, examples: pl.DataFrame
) -> dict[str, Any]:
    """Return the audit as plain values.

    Args:
        counts: One entry a source.
        cleaned: All cleaned rows, duplicates included (``id``, ``pair``, ``answer``, ``source``).
        examples: The kept rows, ``store.EXAMPLES``.
    """
    answers = _answers(cleaned, examples)
    near = _near(answers)
    return {
        "cleaning_version": CLEANING_VERSION,
        "warnings": [warning for entry in counts for warning in _warnings(entry, examples)],
        "sources": [_source(entry) for entry in counts],
        "rows": examples.height,
        "questions": examples["question"].n_unique(),
        "answers": answers["answer"].n_unique(),
        "exact_duplicates": _exact(cleaned),
        "near_duplicates": _near_counts(answers, near),
        "splits": {name: _split(examples, name) for name in SPLITS},
        "leaks": _leaks(answers, near),
        "answers_per_question": _histogram(examples["question"].to_list()),
        "words": {column: _quantiles(examples[column]) for column in ("context", "response")},
        **references.audit(examples),
        "evaluated": _evaluated(examples),
        **turns_audited(examples),
        "personal": counted(redaction.texts(examples)),
    }


def _source(entry: SourceAudit) -> dict[str, Any]:
    source = entry.source
    return {
        "name": source.name,
        "hub": source.hub if not source.path else None,
        "licence": source.licence or "not stated",
        "redistribute": source.redistribute,
        "may_leave": source.may_leave,
        "homepage": source.homepage,
        "raw": entry.raw,
        **({} if entry.conversations is None else {"conversations": entry.conversations}),
        "kept": entry.kept,
        "dropped": dict(sorted(entry.dropped.items())),
        "repaired": dict(sorted(entry.repaired.items())),
        **({"redacted": entry.redacted} if entry.redacted else {}),
        **({"misread": _misread(entry)} if entry.misread else {}),
    }


LISTED = 3
"""Examples of characters that were decoded wrongly."""
MOST_MISREAD = 0.01
"""Share of such rows from which on it is a warning."""


def _misread(entry: SourceAudit) -> dict[str, Any]:
    """Return in how many rows characters were decoded wrongly, and the most frequent of them."""
    often = Counter(entry.misread).most_common(LISTED)
    return {
        "rows": len(entry.misread),
        "examples": [f"{written} for {meant}" for (written, meant), _ in often],
    }


def _warnings(entry: SourceAudit, examples: pl.DataFrame) -> Iterator[str]:
    """Yield what makes it likely that a source's columns are not those that were meant."""
    rows = examples.filter(pl.col("source") == entry.source.name)
    where = f"check the columns of {entry.source.where}"
    suspicions = (
        (_echoes, "the answer is the question once more"),
        (_one_word, "the answer is a single word"),
        (_scripts_differ, "the answer is in another script than the question"),
    )
    for suspicious, said in suspicions:
        if n := _in_most(rows, suspicious):
            yield f"{entry.source.name}: in {n:,} of {rows.height:,} rows {said}; {where}."
    if len(entry.misread) > MOST_MISREAD * entry.raw:
        named = ", ".join(_misread(entry)["examples"])
        yield (
            f"{entry.source.name}: in {len(entry.misread):,} of {entry.raw:,} rows characters were "
            f"decoded wrongly ({named}); set {entry.source.where}.encoding if the file is read "
            "wrongly here, else repair the texts (ftfy does it) and give the result as the file."
        )


_LOOKED_AT = 50_000
"""Rows at once."""


def _in_most(rows: pl.DataFrame, found: Callable[[pl.DataFrame], pl.Series]) -> int:
    """Return in how many rows something is found; 0 if that is not more than half of them."""
    n = 0
    for done, some in enumerate(rows.iter_slices(_LOOKED_AT)):
        n += int(found(some).sum())
        left = rows.height - done * _LOOKED_AT - some.height
        if n + left <= rows.height / 2:
            return 0
    return n


def _echoes(rows: pl.DataFrame) -> pl.Series:
    """Return which rows are answered by what was said last, but for case and spaces."""
    said, answered = pl.col("context"), pl.col("response")
    if has_turns(rows):
        last = pl.col("turns").list.last().struct.field("content")
        said = pl.coalesce(last, said)
    both = rows.select(said=said, answered=answered)
    begin = [pl.col(name).str.head(1).str.to_lowercase() for name in both.columns]
    maybe = both.select(begin[0] == begin[1]).to_series()
    same = both.filter(maybe).select(_plain(pl.col("said")) == _plain(pl.col("answered")))
    return maybe.scatter(maybe.arg_true(), same.to_series())


def _plain(texts: pl.Expr) -> pl.Expr:
    return texts.str.to_lowercase().str.replace_all(r"\s+", " ")


def _one_word(rows: pl.DataFrame) -> pl.Series:
    """Return which answers are one word; a script without spaces cannot be judged."""
    return ~rows["response"].str.contains(
        r"\s|[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
    )


_SCRIPTS = (
    "Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Bengali", "Thai", "Hangul",
    "Han",
)  # fmt: skip
_LEAST_LETTERS = 5
"""Letters of one script, from which on a text is said to be in it: a name is not enough."""


def _scripts_differ(rows: pl.DataFrame) -> pl.Series:
    """Return which rows have a question and an answer that are each in one script, and not one."""
    question, answer = (_script(rows[name]) for name in ("context", "response"))
    return (question != answer).fill_null(value=False)


def _script(texts: pl.Series) -> pl.Series:
    """Return the script that most letters of a text are in; null where too few are in any.

    Japanese is counted by its kana, too.
    """
    latin = texts.str.contains(_LATIN) & ~texts.str.contains(_OF_OTHERS)
    found = pl.Series("script", ["Latin"], dtype=pl.String).new_from_index(0, len(texts))
    if latin.all():  # letters need not be counted
        return found
    return found.scatter(latin.not_().arg_true(), _counted_script(texts.filter(~latin)))


_LATIN = rf"(?:[A-Za-z][^A-Za-z]*){{{_LEAST_LETTERS}}}"
_OF_OTHERS = r"[\p{Hiragana}\p{Katakana}" + "".join(rf"\p{{{s}}}" for s in _SCRIPTS[1:]) + "]"


def _counted_script(texts: pl.Series) -> pl.Series:
    found = pl.DataFrame(
        {script: texts.str.count_matches(rf"[\p{{{script}}}]") for script in _SCRIPTS}
    ).with_columns(Han=texts.str.count_matches(r"[\p{Han}\p{Hiragana}\p{Katakana}]"))
    most = found.max_horizontal()
    best = found.select(
        pl.coalesce(pl.when(pl.col(name) == most).then(pl.lit(name)) for name in _SCRIPTS)
    ).to_series()
    enough = pl.Series(most >= _LEAST_LETTERS)
    return pl.select(pl.when(enough).then(best)).to_series()


# ---------------------------------------------------------------------------- duplicates


def _exact(cleaned: pl.DataFrame) -> dict[str, Any]:
    times = [of.group_by("pair").len() for of in cleaned.partition_by("source")]
    groups = pl.concat(times)
    if len(times) > 1:  # a group of all rows takes its time
        groups = groups.group_by("pair").agg(pl.col("len").sum(), source=pl.len())
    beyond = cleaned.height - groups.height
    within = sum(int((of["len"] - 1).sum()) for of in times)
    return {
        "rows": cleaned.height,
        "distinct_pairs": groups.height,
        "pairs_by_times": _counted(groups["len"].to_list()),
        "surplus_rows_within_sources": within,
        "surplus_rows_across_sources": beyond - within,
        "pairs_in_several_sources": int((groups["source"] > 1).sum()) if len(times) > 1 else 0,
    }


def _answers(cleaned: pl.DataFrame, examples: pl.DataFrame) -> pl.DataFrame:
    """Return one row a kept row with ``answer``, the digest of its normalised response."""
    wanted = ("id", "response", "source", "question", "split")
    # the texts take no part in the join, which would copy them
    keys = examples.select("id").join(cleaned.select("id", "answer"), "id", maintain_order="left")
    return examples.select(*wanted, keys["answer"])


def _near(answers: pl.DataFrame) -> pl.DataFrame:
    """Return pairs of distinct answers (``answer``, ``other``) that are nearly equal."""
    # by places, since the texts would be copied
    numbered = answers.select("answer").with_row_index("place")
    distinct = numbered.unique("answer", keep="first", maintain_order=True)
    pairs = neighbours.near_duplicates(answers["response"].gather(distinct["place"]))
    keys = distinct["answer"]
    return pl.DataFrame({"answer": keys[pairs[:, 0]], "other": keys[pairs[:, 1]]})


def _near_counts(answers: pl.DataFrame, near: pl.DataFrame) -> dict[str, Any]:
    sources = answers.group_by("answer").agg(pl.col("source").unique())
    both = near.join(sources, on="answer").join(
        sources, left_on="other", right_on="answer", suffix="_other"
    )
    shared = both["source"].list.set_intersection(both["source_other"]).list.len() > 0
    touched = pl.concat([near["answer"], near["other"]]).unique()
    return {
        "words": neighbours.WORDS,
        "threshold": neighbours.THRESHOLD,
        "pairs_within_sources": int(shared.sum()),
        "pairs_across_sources": int((~shared).sum()),
        "rows": answers.filter(pl.col("answer").is_in(touched.implode())).height,
    }


# ---------------------------------------------------------------------------- splits


def _split(examples: pl.DataFrame, name: str) -> dict[str, int]:
    rows = examples.filter(pl.col("split") == name)
    return {"rows": rows.height, "questions": rows["question"].n_unique()}


def _leaks(answers: pl.DataFrame, near: pl.DataFrame) -> dict[str, int]:
    train = answers.filter(pl.col("split") == "train")
    others = answers.filter(pl.col("split") != "train")
    splits = answers.group_by("answer").agg(pl.col("split").unique())
    both = near.join(splits, on="answer").join(
        splits, left_on="other", right_on="answer", suffix="_other"
    )
    united = both["split"].list.set_union(both["split_other"]).list.len() > 1
    twins = pl.concat([near, near.select(pl.col("other").alias("answer"), other="answer")])
    near_train = twins.filter(pl.col("other").is_in(train["answer"].implode()))["answer"]
    known = pl.concat([near_train, train["answer"]]).unique()
    return {
        "questions": _in_several(answers, "question"),
        "answers": _in_several(answers, "answer"),
        "near_answers": int(united.sum()),
        "held_out_rows": others.height,
        "held_out_rows_question_in_train": _count_in(others, "question", train["question"]),
        "held_out_rows_answer_in_train": _count_in(others, "answer", train["answer"]),
        "held_out_rows_answer_or_near_in_train": _count_in(others, "answer", known),
    }


def _in_several(answers: pl.DataFrame, column: str) -> int:
    splits = answers.group_by(column).agg(pl.col("split").n_unique())["split"]
    return int((splits > 1).sum())


def _count_in(frame: pl.DataFrame, column: str, values: pl.Series) -> int:
    return frame.filter(pl.col(column).is_in(values.unique().implode())).height


# ---------------------------------------------------------------------------- sizes


def _counted(values: Sequence[int]) -> dict[str, int]:
    return {str(value): n for value, n in sorted(Counter(values).items())}


def _histogram(names: Sequence[str]) -> dict[str, int]:
    return _counted(list(Counter(names).values()))


def _quantiles(texts: pl.Series) -> dict[str, float]:
    return quantiles(word_counts(texts))


def _evaluated(examples: pl.DataFrame) -> dict[str, Any]:
    rows = examples.filter(EVALUATED)
    per_question = rows.group_by("question").len()
    return {
        "rows": rows.height,
        "questions": per_question.height,
        "contexts": rows["context"].n_unique(),
        "pairs": rows["pair"].n_unique(),
        "blocks": rows["block"].n_unique(),
        "splits": sorted(rows["split"].unique().to_list()),
    }
