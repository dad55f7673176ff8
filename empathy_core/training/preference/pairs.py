"""Which pairs are kept, on which side of the split each is, and what was left out and why. Pure.

A pair is dropped for the first reason that holds, in the order of ``REASONS``; the audit counts
each. Questions that the run evaluates are never trained on.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from empathy_core.crisis import screen
from empathy_core.data.normal import normalised, question_digest
from empathy_core.data.splitting import draw_key
from empathy_core.store import EVALUATED
from empathy_core.training.preference.candidates import FoundPairs, PairCandidate
from empathy_core.training.preference.cues import cues, cues_text
from empathy_core.training.preference.peoples_view import peoples_view, view_text
from empathy_core.training.preference.settings import PairSettings
from empathy_core.types import digest
from empathy_core.visible import n_words, nothing_visible

PAIRS = {
    "id": pl.String,
    "question": pl.String,
    "context": pl.String,
    "chosen": pl.String,
    "rejected": pl.String,
    "source": pl.String,
    "licence": pl.String,
    "split": pl.String,
    "chosen_words": pl.Int64,
    "rejected_words": pl.Int64,
    "chosen_by": pl.String,
    "rejected_by": pl.String,
    "chosen_score": pl.Float64,
    "rejected_score": pl.Float64,
}
"""``question`` is what pairs of the same question share; ``split`` is train or validation; ``…_by``
is a condition and its sample, empty where a pair is not made of scores, and its scores null."""

LICENCES = ("mit", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-3.0",
            "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "odc-by", "pddl", "unlicense",
            "public domain")  # fmt: skip
"""Licences that let anyone train, lower-case; what else does, ``training_licences`` says."""

MISSING = "a score is missing"
LOW_MASS = "too little of the judge's probability on its labels"
FEW_RATERS = "too few people rated both"
UNLIKE_ORDERS = "the judge's two orders disagree"
CLOSE = "scores nearer than the margin"
REASONS = (
    MISSING, LOW_MASS, FEW_RATERS, UNLIKE_ORDERS, CLOSE,
    "an empty text", "chosen equals rejected", "the same pair twice", "preferred both ways",
    "the chosen reply is flagged", "the licence is not known to allow training",
    "the question is evaluated", "a test question of the run that was scored",
    "the question shows a risk of suicide", "lengths too far apart",
    "over the limit of its question", "left out to match lengths", "over the limit",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PreferencePairs:
    """Pairs that are trained on and held out, and what is known of them.

    Attributes:
        frame: ``PAIRS``, by id.
        audit: ``found``, ``kept``, ``dropped`` (reason → pairs), ``splits``, ``questions``,
            ``chosen_longer`` (share, ties half), ``mean_log_length_ratio`` (chosen over rejected,
            of words), ``differences`` of scores before any was left out, ``people`` (how often
            their ratings prefer the same reply, see ``peoples_view``), ``cues`` (how often length
            or style alone tells the chosen reply, see there), ``cut`` (chosen and rejected replies
            that their model did not end), ``licences``, ``crisis_screen``.
    """

    frame: pl.DataFrame
    audit: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Identity of the pairs that are kept, 16 hex digits."""
        return digest(self.frame.select(*list(PAIRS)[:5], "split").rows(), 16)


@dataclass(frozen=True, slots=True)
class _SeenPair:
    """A candidate and its question's digest."""

    of: PairCandidate
    question: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.question, normalised(self.of.chosen), normalised(self.of.rejected)

    @property
    def words(self) -> tuple[int, int]:
        return n_words(self.of.chosen), n_words(self.of.rejected)


def select(found: FoundPairs, settings: PairSettings, examples: pl.DataFrame) -> PreferencePairs:
    """Return the pairs that are kept.

    Args:
        found: The candidates.
        settings: What is left out.
        examples: The run's rows (``store.EXAMPLES``): they say which questions are evaluated, and
            which are held out.
    """
    dropped = Counter(found.left_out)
    seen = [_SeenPair(one, question_digest(one.context)) for one in found.candidates]
    n_found = len(seen) + dropped.total()
    kept = _kept(seen, settings, examples, dropped)
    if settings.per_question is not None:
        kept = _widest(kept, settings.per_question, settings.seed, dropped)
    if settings.matched:
        kept = _matched(kept, settings.seed, dropped)
    kept = sorted(kept, key=lambda one: draw_key("pairs", settings.seed, "\n".join(one.key)))
    if settings.limit is not None and len(kept) > settings.limit:
        dropped["over the limit"] = len(kept) - settings.limit
        kept = kept[: settings.limit]
    frame = _frame(kept, settings, _sides(examples))
    audit = _audit(n_found, frame, dropped)
    audit |= {"differences": _spread(found.differences), "people": peoples_view(kept)}
    cut = [sum(sides) for sides in zip(*(one.of.cut for one in kept), strict=True)]
    audit |= {"cues": cues(frame), "cut": cut or [0, 0]}
    return PreferencePairs(frame, audit)


def _kept(
    seen: Iterable[_SeenPair], settings: PairSettings, examples: pl.DataFrame, dropped: Counter[str]
) -> list[_SeenPair]:
    found: list[_SeenPair] = []
    everything = list(seen)
    keys = {one.key for one in everything}
    allowed = {*LICENCES, *(name.casefold().strip() for name in settings.training_licences)}
    held = _evaluated(examples)
    taken: set[tuple[str, str, str]] = set()
    for one in everything:
        reason = _reason(one, settings, (keys, taken, allowed, held))
        if reason:
            dropped[reason] += 1
            continue
        taken.add(one.key)
        found.append(one)
    return found


def _reason(
    one: _SeenPair,
    settings: PairSettings,
    known: tuple[set[tuple[str, str, str]], set[tuple[str, str, str]], set[str], set[str]],
) -> str | None:
    """Return why a pair is left out; null if it is kept."""
    return next((reason for reason, holds in _asked(one, settings, known) if holds), None)


def _asked(
    one: _SeenPair,
    settings: PairSettings,
    known: tuple[set[tuple[str, str, str]], set[tuple[str, str, str]], set[str], set[str]],
) -> Iterator[tuple[str, bool]]:
    """Yield each reason, in order, and whether it holds; none is worked out before its turn."""
    keys, taken, allowed, evaluated = known
    question, chosen, rejected = one.key
    texts, words = (one.of.context, one.of.chosen, one.of.rejected), one.words
    yield "an empty text", any(map(nothing_visible, texts)) or 0 in words
    yield "chosen equals rejected", chosen == rejected
    yield "the same pair twice", one.key in taken
    yield "preferred both ways", (question, rejected, chosen) in keys
    yield "the chosen reply is flagged", one.of.flagged
    licences = {licence.casefold().strip() for licence in one.of.licences}
    yield "the licence is not known to allow training", not licences <= allowed
    yield "the question is evaluated", question in evaluated
    yield "a test question of the run that was scored", one.of.tested
    at_risk = settings.crisis == "leave_out" and screen.tier(one.of.context) != screen.NONE
    yield "the question shows a risk of suicide", at_risk
    yield "lengths too far apart", max(words) > settings.most_length_ratio * min(words)


def _evaluated(examples: pl.DataFrame) -> set[str]:
    """Return the questions that a run evaluates, or keeps for testing."""
    rows = examples.filter(EVALUATED | (pl.col("split") == "test"))
    return set(map(question_digest, rows["context"]))


def _sides(examples: pl.DataFrame) -> dict[str, str]:
    """Return question → the split of the run that it is held out in, or trained on."""
    rows = examples.filter(pl.col("split") != "test").select("context", "split").iter_rows()
    sides: dict[str, str] = {}
    for context, split in rows:
        question = question_digest(context)
        sides[question] = "validation" if sides.get(question) == "validation" else split
    return sides


def _widest(kept: list[_SeenPair], most: int, seed: int, dropped: Counter[str]) -> list[_SeenPair]:
    """Return at most so many pairs of each question, those of the largest differences."""
    taken: Counter[str] = Counter()
    chosen = []
    for one in sorted(
        kept, key=lambda of: (-of.of.gap, draw_key("widest", seed, "\n".join(of.key)))
    ):
        if taken[one.question] < most:
            taken[one.question] += 1
            chosen.append(one)
    dropped["over the limit of its question"] += len(kept) - len(chosen)
    return chosen


def _matched(kept: list[_SeenPair], seed: int, dropped: Counter[str]) -> list[_SeenPair]:
    """Return as many pairs whose chosen reply is longer as pairs whose chosen one is shorter."""
    ordered = sorted(kept, key=lambda one: draw_key("match", seed, "\n".join(one.key)))
    longer = [one for one in ordered if one.words[0] > one.words[1]]
    shorter = [one for one in ordered if one.words[0] < one.words[1]]
    even = [one for one in ordered if one.words[0] == one.words[1]]
    n = min(len(longer), len(shorter))
    dropped["left out to match lengths"] += len(longer) + len(shorter) - 2 * n
    return [*longer[:n], *shorter[:n], *even]


def _frame(
    kept: Sequence[_SeenPair], settings: PairSettings, sides: Mapping[str, str]
) -> pl.DataFrame:
    rows = [
        (
            f"pair-{digest(one.key, 12)}", one.question, one.of.context, one.of.chosen,
            one.of.rejected, one.of.source, "; ".join(filter(None, one.of.licences)),
            sides.get(one.question) or _drawn(one.question, settings), *one.words,
            one.of.chosen_by, one.of.rejected_by, *(one.of.scores or (None, None)),
        )
        for one in kept
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=PAIRS, orient="row").sort("id")


def _drawn(question: str, settings: PairSettings) -> str:
    """Return the side of a question that the run does not have: all its pairs are on it."""
    place = int(draw_key("held-out pairs", settings.seed, question)[:12], 16) / 16**12
    return "validation" if place < settings.validation_share else "train"


def _audit(n_found: int, frame: pl.DataFrame, dropped: Mapping[str, int]) -> dict[str, Any]:
    words = list(frame.select("chosen_words", "rejected_words").iter_rows())
    longer = sum((a > b) + 0.5 * (a == b) for a, b in words)
    ratio = sum(math.log(a / b) for a, b in words)
    return {
        "found": n_found,
        "kept": frame.height,
        "dropped": {reason: dropped[reason] for reason in REASONS if dropped.get(reason)},
        "splits": dict(frame.group_by("split").len().sort("split").iter_rows()),
        "questions": frame["question"].n_unique(),
        "chosen_longer": longer / frame.height if frame.height else None,
        "mean_log_length_ratio": ratio / frame.height if frame.height else None,
        "licences": dict(frame.group_by("licence").len().sort("licence").iter_rows()),
        "crisis_screen": screen.screen_digest(),
    }


def _spread(differences: Sequence[float]) -> dict[str, float] | None:
    """Return how far apart scores are: number, median, ninth decile, most; null without any."""
    if not differences:
        return None
    ordered = sorted(differences)
    places = {"median": 0.5, "ninth_decile": 0.9, "most": 1.0}
    last = len(ordered) - 1
    return {"n": len(ordered), **{name: ordered[round(p * last)] for name, p in places.items()}}


_MOST_CUT = 0.1
"""Share of pairs with a reply that was stopped, above which it is told."""
NONE_HELD_OUT = (
    "none is held out, and the last checkpoint will be taken: answer the validation questions as "
    'well (evaluate.split = "all" in the run of the answers; test questions are left out)'
)
NONE_DRAWN = (
    "none is held out by chance, and the last checkpoint will be taken: raise validation_share, or "
    "draw with another seed"
)


def audit_text(name: str, audit: Mapping[str, Any]) -> str:
    """Return the audit for a terminal, one line and one for each reason."""
    splits_of: Mapping[str, int] = audit["splits"]
    splits = ", ".join(f"{n} to {_DOES[split]}" for split, n in splits_of.items())
    head = f"pairs {name}: {audit['kept']} of {audit['found']} kept ({splits or 'none'})"
    if audit["kept"]:
        head += (
            f", {audit['questions']} questions; the chosen reply is the longer one in "
            f"{audit['chosen_longer']:.0%}"
        )
    lines = [
        f"left out, {why.removeprefix('left out ')}: {n}" for why, n in audit["dropped"].items()
    ]
    lines += _none_held_out(audit) if set(splits_of) == {"train"} else []
    lines += [text for text in (cut_text(audit), cues_text(audit.get("cues", ()))) if text]
    return "\n  ".join(
        [head, *lines, *_differences(audit), *map(view_text, audit.get("people", ()))]
    )


def _none_held_out(audit: Mapping[str, Any]) -> Iterator[str]:
    """Yield what to do about it; of a file that was to be trained on whole, nothing."""
    settings = audit.get("settings", {})
    if settings.get("made_from", "file") != "file":
        yield NONE_HELD_OUT
    elif settings.get("validation_share"):
        yield NONE_DRAWN


def cut_text(audit: Mapping[str, Any]) -> str:
    """Return in words how many replies their model did not end; empty where they are few."""
    cut, kept = audit.get("cut", (0, 0)), audit["kept"]  # earlier versions did not count them
    if max(cut) <= _MOST_CUT * kept:
        return ""
    return (
        f"{cut[0]} chosen and {cut[1]} rejected replies of {kept} pairs stop in the middle, at the "
        "token limit of the model that wrote them: a tuning can recognise such replies without "
        "their content. Generate answers that end: raise max_new_tokens of that run, or set "
        "repetition_penalty where answers go round in circles"
    )


def _differences(audit: Mapping[str, Any]) -> Iterator[str]:
    if of := audit.get("differences"):  # earlier versions had none
        yield (
            f"scores of {of['n']} pairs of answers differ by {of['median']:.3g} (median), "
            f"{of['ninth_decile']:.3g} (nine tenths of them at most), {of['most']:.3g} (most)"
        )


_DOES = {"train": "train on", "validation": "hold out"}
