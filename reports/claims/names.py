"""Which conditions and columns the words of a claim mean. Pure."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Literal

from empathy_core.errors import ConfigError, UnknownName
from reports.claims.evidence import Evidence, Measure, Subject

Quantifier = Literal["each", "all", "most"]

_TUNED = ("tuned", "finetuned", "finetunedmodel")
_BASE = ("base", "baseline", "basemodel")
_EVERY = ("everymodel", "eachmodel", "allmodels")
_LISTED = 3


@dataclass(frozen=True, slots=True)
class Side:
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

    def conditions(self, words: str, like: Sequence[Subject] = ()) -> Side:
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
        return Side(subjects, own.pop() if len(own) == 1 else None)

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
        parts = [p for p in re.split(r",| and ", words, flags=re.IGNORECASE) if p.strip()]
        if not parts:
            raise UnknownName("column", words, [m.key for m in self.evidence.measures])
        return tuple(dict.fromkeys(m for part in parts for m in self._column(part)))

    def _column(self, words: str) -> tuple[Measure, ...]:
        words, measures = self._meant(words), self.evidence.measures
        said = fold(words)
        ways: tuple[Callable[[Measure], bool], ...] = (
            lambda m: fold(m.key) == said,
            lambda m: fold(m.title) == said,
            lambda m: said in (fold(m.column.name), fold(m.column.label)),
            lambda m: m.main and _begins(m.title, words),
            lambda m: _begins(m.title, words),
        )
        for way in ways:
            if found := tuple(m for m in measures if said and way(m)):
                return found
        known = [m.key for m in measures if m.main] + [m.key for m in measures if not m.main]
        raise UnknownName("column", words.strip(), known, "Or: all, all but …, most.")

    def _meant(self, words: str) -> str:
        """Return *words*, or what they are an alias for."""
        plain = re.sub(r"^\s*the ", "", words, flags=re.IGNORECASE).strip()
        aliases = {fold(name): meaning for name, meaning in self.aliases.items()}
        return aliases.get(fold(plain), plain)

    def _said(self, words: str) -> str:
        return fold(self._meant(words))

    # ------------------------------------------------------------------------ conditions

    def _one(self, words: str, like: Sequence[Subject]) -> Side | None:
        """Return what *words* without an ``and`` mean; null if nothing is called so."""
        return next((side for side in self._readings(words, like) if side.subjects), None)

    def _readings(self, words: str, like: Sequence[Subject]) -> Iterator[Side]:
        """Yield what *words* could mean, the surest first; most are empty."""
        said, subjects = self._said(words), self.evidence.subjects
        yield Side(tuple(s for s in subjects if fold(s.key) == said))
        named = [(model, self._said(prompt)) for model, prompt in _splits(words) if model]
        for model, prompt in named:
            yield Side(self._only(model, _prompted(self._exact(model), prompt)))
        for model, prompt in named:
            own: Literal["base"] | None = "base" if self._said(model) in _BASE else None
            yield Side(_prompted(self._special(model, like), prompt), own)
        groups = {s.group for s in like} if said else set()
        yield Side(_prompted([s for s in subjects if s.group in groups], said), "model")
        for model, prompt in named:
            yield Side(self._only(model, _prompted(self._shortened(model), prompt)))

    def _exact(self, words: str) -> Sequence[Subject]:
        """Return the conditions of the model of this name; the surest kind of name counts."""
        said = self._said(words)
        ranked: dict[int, list[Subject]] = {}
        for subject in self.evidence.subjects:
            names = [fold(name) for name in subject.model_names]
            if said in names:
                ranked.setdefault(names.index(said), []).append(subject)
        return ranked[min(ranked)] if ranked else ()

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
        firsts = [next(s for s in found if s.group == g) for g in groups]
        listed = ", ".join(s.key for s in firsts[:_LISTED])
        more = f" and {len(firsts) - _LISTED} more" if len(firsts) > _LISTED else ""
        msg = (
            f"'{words}' may be {listed}{more}: say which by its name or key, or say it once for "
            f"all under [names]"
        )
        raise ConfigError(msg)

    def _unknown(self, words: str) -> str:
        said, subjects = fold(words), self.evidence.subjects
        alike = {s.key: max(map(_alike(said), _spellings(s))) for s in subjects}
        near = [key for key in sorted(alike, key=lambda k: -alike[k]) if alike[key] > _NEAR]
        guess = f" The nearest: {', '.join(near[:_LISTED])}." if near else ""
        listed = ", ".join(alike) or "none"
        return f"unknown condition '{words}'.{guess} There are: {listed}. {_HINT}"


_NEAR = 0.6
_HINT = "A model's label, or its beginning, and the prompt's will do; or: tuned, base, every model"


def _alike(said: str) -> Callable[[str], float]:
    return lambda spelling: SequenceMatcher(None, said, spelling).ratio()


def _spellings(subject: Subject) -> Iterator[str]:
    """Yield how a condition could be called, folded."""
    yield fold(subject.key)
    for name in subject.model_names:
        for model in (name, _words(name)[0] if _words(name) else ""):
            yield from (fold(model + prompt) for prompt in subject.prompt_names or ("",))


def fold(text: str) -> str:
    """Return *text* without case, blanks and signs."""
    return re.sub(r"[\W_]+", "", text.casefold())


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", text.casefold()) if word]


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
    return tuple(s for s in found if not prompt or prompt in map(fold, s.prompt_names))
