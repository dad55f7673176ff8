"""Which conditions and columns the words of a claim mean. Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import product
from typing import Literal

from empathy_core.errors import ConfigError, UnknownName
from reports.claims.evidence import Evidence, Measure, Subject

Quantifier = Literal["each", "all", "most"]

_TUNED = ("tuned", "finetuned", "finetunedmodel")
_BASE = ("base", "baseline", "basemodel")
_EVERY = ("everymodel", "eachmodel", "allmodels")
_LISTED = 3


@dataclass(frozen=True, slots=True)
class ClaimSide:
    """One side of a comparison.

    Attributes:
        with_own: ``base``: fine-tunes' bases, ``model``: a prompt alone was named. A condition of
            the other side is then compared with its own base, or within its model; null: with all.
    """

    subjects: tuple[Subject, ...]
    with_own: Literal["base", "model"] | None = None


@dataclass(frozen=True, slots=True)
class Meant:
    """Columns, and whether a claim must hold under ``each``, or under ``most`` of them.

    Attributes:
        quantifier: ``all`` leaves out columns without a number, as ``most`` does.
    """

    measures: tuple[Measure, ...]
    quantifier: Quantifier


@dataclass(frozen=True, slots=True)
class Names:
    """What can be named.

    Attributes:
        aliases: The author's words → those of this module, for conditions, models and columns.
    """

    evidence: Evidence
    aliases: Mapping[str, str] = field(default_factory=dict)

    def conditions(self, words: str, like: Sequence[Subject] = ()) -> ClaimSide:
        """Return what *words* mean; *like*: the other side, whose model may be left out here.

        Raises:
            ConfigError: Nothing is called so, or two models may be meant.
        """
        words = self._meant(words)
        if whole := self._one(words, like):
            return whole
        parts = re.split(r" and ", words, flags=re.IGNORECASE)
        found = [self._one(part, like) for part in parts]
        if wrong := [part for part, of in zip(parts, found, strict=True) if of is None]:
            raise ConfigError(self._unknown(wrong[0].strip()))
        sides = [of for of in found if of is not None]
        own = {side.with_own for side in sides}
        subjects = tuple(dict.fromkeys(s for side in sides for s in side.subjects))
        return ClaimSide(subjects, own.pop() if len(own) == 1 else None)

    def columns(self, words: str) -> Meant:
        """Return the columns that *words* mean.

        Raises:
            UnknownName: A column is called otherwise.
        """
        words = self._meant(words)
        said = fold(words)
        every = tuple(m for m in self.evidence.measures if m.main)
        if said in ("all", "allmetrics", "everymetric", "most", "mostmetrics"):
            return Meant(every, "most" if said.startswith("most") else "all")
        if rest := re.fullmatch(r"all (?:but|except) (.+)", words.strip(), re.IGNORECASE):
            left_out = self._columns(rest[1])
            return Meant(tuple(m for m in every if m not in left_out), "all")
        return Meant(self._columns(words), "each")

    def _columns(self, words: str) -> tuple[Measure, ...]:
        if whole := self._named_column(words):  # a heading may hold a comma
            return (whole,)
        parts = [p for p in re.split(r",| and ", words, flags=re.IGNORECASE) if p.strip()]
        if not parts:
            raise UnknownName("column", words, [m.key for m in self.evidence.measures])
        return tuple(dict.fromkeys(m for part in parts for m in self._column(part)))

    def _named_column(self, words: str) -> Measure | None:
        """Return the column that is called so; null if none is.

        Raises:
            ConfigError: Several are.
        """
        measures, words = self.evidence.measures, self._meant(words)
        of: tuple[Callable[[Measure], str], ...] = (
            lambda m: m.key, lambda m: m.title, lambda m: m.column.name, _label,
        )  # fmt: skip
        for names, same in product(of, (seen, fold)):
            found = [m for m in measures if same(words) and same(names(m)) == same(words)]
            if len(found) > 1:
                listed = ", ".join(m.key for m in found)
                msg = f"'{words}' is the name of several columns: {listed}; say which by its key"
                raise ConfigError(msg)
            if found:
                return found[0]
        return self._alias(words)

    def _alias(self, words: str) -> Measure | None:
        """Return the column that is also called so; null if none is.

        Raises:
            ConfigError: Several are.
        """
        measures = self.evidence.measures
        found = [m for m in measures if fold(words) in map(fold, m.aliases)]
        if len(found) > 1:
            listed = "; ".join(m.aliases[-1] for m in found)
            msg = f"'{words}' may be several columns: {listed}; say which"
            raise ConfigError(msg)
        return found[0] if found else None

    def _column(self, words: str) -> tuple[Measure, ...]:
        if named := self._named_column(words):
            return (named,)
        words, measures = self._meant(words), self.evidence.measures
        for among in ([m for m in measures if m.main], measures):
            if found := tuple(m for m in among if _begins(m.title, words)):
                return found
        raise _no_column(words.strip(), measures)

    def _meant(self, words: str) -> str:
        """Return *words*, or what they are an alias for."""
        plain = _ARROW.sub("", words).strip()
        aliases = {fold(name): meaning for name, meaning in self.aliases.items()}
        return aliases.get(fold(plain), plain)

    def _said(self, words: str) -> str:
        return fold(self._meant(words))

    # ------------------------------------------------------------------------ conditions

    def _one(self, words: str, like: Sequence[Subject]) -> ClaimSide | None:
        """Return what *words* without an ``and`` mean; null if nothing is called so."""
        return next((side for side in self._readings(words, like) if side.subjects), None)

    def _readings(self, words: str, like: Sequence[Subject]) -> Iterator[ClaimSide]:
        """Yield what *words* could mean, the surest first; most are empty."""
        said, subjects = self._said(words), self.evidence.subjects
        yield ClaimSide(self._of_key(words))
        yield ClaimSide(self._printed(words))
        named = [(model, self._said(prompt)) for model, prompt in _splits(words) if model]
        for model, prompt in named:
            yield ClaimSide(self._only(model, _prompted(self._exact(model), prompt)))
        for model, prompt in named:
            own: Literal["base"] | None = "base" if self._said(model) in _BASE else None
            yield ClaimSide(_prompted(self._special(model, like), prompt), own)
        groups = {s.group for s in like} if said else set()
        yield ClaimSide(_prompted([s for s in subjects if s.group in groups], said), "model")
        models = {s.model_names for s in like}
        beside = [s for s in subjects if s.model_names in models and len(models) == 1]
        yield ClaimSide(tuple(s for s in beside if said in map(fold, s.row_names)))
        for model, prompt in named:
            yield ClaimSide(self._only(model, _prompted(self._shortened(model), prompt)))

    def _of_key(self, words: str) -> tuple[Subject, ...]:
        """Return the condition of this key.

        Raises:
            ConfigError: Signs and case apart, it is the key of several.
        """
        words, subjects = self._meant(words), self.evidence.subjects
        if exact := tuple(s for s in subjects if s.key == words):
            return exact
        found = tuple(s for s in subjects if fold(s.key) == fold(words))
        if len(found) > 1:
            raise _ambiguous(words, found)
        return found

    def _printed(self, words: str) -> tuple[Subject, ...]:
        """Return the one condition that tables print so: its model's label and its row's."""
        meant, subjects = self._meant(words), self.evidence.subjects
        for same in (str, seen):
            found = tuple(s for s in subjects if same(meant) in map(same, _in_full(s)))
            if len(found) == 1:
                return found
        return ()

    def _exact(self, words: str) -> Sequence[Subject]:
        """Return the conditions of the model of this name; the surest kind of name counts."""
        meant = self._meant(words)
        for same in (seen, fold):
            ranked: dict[int, list[Subject]] = {}
            for subject in self.evidence.subjects:
                names = [same(name) for name in subject.model_names]
                if same(meant) in names:
                    ranked.setdefault(names.index(same(meant)), []).append(subject)
            if ranked:
                return ranked[min(ranked)]
        return ()

    def _special(self, words: str, like: Sequence[Subject]) -> tuple[Subject, ...]:
        said, subjects, bases = self._said(words), self.evidence.subjects, self.evidence.bases
        if said in _TUNED:
            return tuple(s for s in subjects if s.tuned)
        if said in _BASE:
            theirs = {s.key for s in like if s.tuned} or set(bases)
            meant = {key for tuned, of in bases.items() if tuned in theirs for key in of}
            return tuple(s for s in subjects if s.key in meant)
        return tuple(s for s in subjects if not s.human) if said in _EVERY else ()

    def _shortened(self, words: str) -> Sequence[Subject]:
        """Return the conditions of the model whose name begins so; a fine-tune's only at need."""
        asked = self._meant(words)
        begun = [s for s in self.evidence.subjects if any(_begins(n, asked) for n in s.model_names)]
        return [s for s in begun if not s.tuned] or begun

    def _only(self, words: str, found: Sequence[Subject]) -> tuple[Subject, ...]:
        groups = dict.fromkeys(s.group for s in found)
        if len(groups) < 2:
            return tuple(found)
        raise _ambiguous(words, [next(s for s in found if s.group == g) for g in groups])

    def _unknown(self, words: str) -> str:
        said, subjects = fold(words), self.evidence.subjects
        alike = {s.key: max(map(_alike(said), _spellings(s))) for s in subjects}
        near = [key for key in sorted(alike, key=lambda k: -alike[k]) if alike[key] > _NEAR]
        guess = f" The nearest: {', '.join(near[:_LISTED])}." if near else ""
        listed = ", ".join(alike) or "none"
        return f"unknown condition '{words}'.{guess} There are: {listed}. {_HINT}"


_OF_PEOPLE = re.compile(r"\((human|people|corrected)\b|^(human|people|corrected) ", re.IGNORECASE)
_NOBODY = {
    "human": "no answer of this report was rated by people; expected their ratings (annotate "
    "import, then report)",
    "corrected": "no judge of this report is corrected by people; expected their ratings (annotate "
    "import) and a judge of the same rubric ([judges.<name>], then sweep)",
}


def _no_column(words: str, measures: Sequence[Measure]) -> ConfigError:
    """Return what is wrong with the name of a column: of people's, only theirs are meant."""
    if (asked := _OF_PEOPLE.search(words)) is None:
        known = [m.key for m in measures if m.main] + [m.key for m in measures if not m.main]
        return UnknownName("column", words, known, "Or: all, all but …, most.")
    kind = "corrected" if "corrected" in asked[0].lower() else "human"
    theirs = [m for m in measures if m.aliases and m.column.name.startswith(f"{kind}_")]
    if theirs:
        return UnknownName("column", words, [m.aliases[-1] for m in theirs])
    without = _OF_PEOPLE.sub("(", words).partition("(")[0].strip()
    own = f"; or say '{without}', without people" if without else ""
    return ConfigError(f"'{words}': {_NOBODY[kind]}{own}")


def _ambiguous(words: str, found: Sequence[Subject]) -> ConfigError:
    listed = ", ".join(s.key for s in found[:_LISTED])
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    msg = (
        f"'{words}' may be {listed}{more}: say which by its name or key, or say it once for "
        f"all under [names]"
    )
    return ConfigError(msg)


_NEAR = 0.6
_HINT = "A model's label, or its beginning, and the prompt's will do; or: tuned, base, every model"


def _alike(said: str) -> Callable[[str], float]:
    return lambda spelling: SequenceMatcher(None, said, spelling).ratio()


def _in_full(subject: Subject) -> list[str]:
    """Return how tables print a condition, under each name of its model."""
    return [", ".join((name, *subject.row_names[:1])) for name in subject.model_names]


def _spellings(subject: Subject) -> Iterator[str]:
    """Yield how a condition could be called, folded."""
    yield fold(subject.key)
    for name in subject.model_names:
        for model in (name, _words(name)[0] if _words(name) else ""):
            yield from (fold(model + prompt) for prompt in subject.prompt_names or ("",))


_ARROW = re.compile(r"\s*(?:[\N{UPWARDS ARROW}\N{DOWNWARDS ARROW}]|\\(?:up|down)arrow\b)")
"""Which way is better, as headings print it."""


def seen(text: str) -> str:
    """Return *text* as a reader sees it: case and kinds of dashes, quotes and blanks apart."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = re.sub("[\N{HYPHEN}-\N{HORIZONTAL BAR}\N{MINUS SIGN}]|--+", "-", plain)
    return " ".join(re.sub("[,`'\"\N{LEFT SINGLE QUOTATION MARK}-\N{RIGHT DOUBLE QUOTATION MARK}]",
                           " ", plain).split())  # fmt: skip


def fold(text: str) -> str:
    """Return *text* without case, blanks, signs, and a ``the`` before it."""
    return "".join(_words(text))


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return [word for word in re.split(r"[\W_]+", re.sub(r"^\s*the\s+", "", plain)) if word]


def _label(measure: Measure) -> str:
    return measure.column.label


def _begins(name: str, words: str) -> bool:
    """Tell whether *name* begins with all *words*."""
    asked = _words(words)
    return bool(asked) and _words(name)[: len(asked)] == asked


def _splits(words: str) -> Iterator[tuple[str, str]]:
    """Yield *words* as those of a model and those of a prompt, the longest model first."""
    tokens = words.replace(",", " ").split()
    for i in range(len(tokens), -1, -1):
        prompt = tokens[i:]
        if len(prompt) > 1 and prompt[0].lower() in ("with", "under", "at", "/"):
            prompt = prompt[1:]
        yield " ".join(tokens[:i]), " ".join(prompt)


def _prompted(found: Iterable[Subject], prompt: str) -> tuple[Subject, ...]:
    """Return those under a prompt, folded; all of them if it is empty."""
    found = tuple(found)
    under = tuple(s for s in found if not prompt or prompt in map(fold, s.prompt_names))
    return under or tuple(s for s in found if prompt in map(fold, s.row_names))
