"""All numbers that prose may cite, as arrays, and what the words around a number name. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from empathy_core.types import Column
from reports.claims.prose import Number, WrittenRelation
from reports.claims.statements import DUST, Digits
from reports.labels import printed

NameableKind = Literal["column", "model", "prompt", "subset", "contrast", "statistic"]
NAMED_NEARBY = ("subset", "statistic")
"""Kinds that no number is taken to be of unless the text names them."""


@dataclass(frozen=True, slots=True)
class Nameable:
    """Something that prose may name.

    Attributes:
        spellings: In lower case, words parted by single blanks.
        label: As printed.
        distinct: Its name is no plain word of prose: where it stands, it is meant.
    """

    kind: NameableKind
    spellings: tuple[str, ...]
    label: str
    distinct: bool = True


@dataclass(frozen=True, slots=True)
class Citable:
    """A number that a macro prints.

    Attributes:
        command: ``res``, ``resci`` or ``resp``; empty where a publication's numbers have no macro.
        value: Without its sign: prose says which way by a word.
        text: As printed.
        about: What it is of.
        rank: Scores before differences, values before bounds.
        widths: Half the width of its interval, and how far each bound is away; empty: none.
    """

    command: str
    key: str
    value: float
    column: Column
    text: str
    about: tuple[Nameable, ...] = ()
    rank: int = 0
    widths: tuple[float, ...] = ()

    @property
    def macro(self) -> str:
        """Return what to write instead of the digits."""
        return f"\\{self.command}{{{self.key}}}" if self.command else self.key


def words(text: str) -> str:
    """Return *text* in lower case, its words parted by single blanks."""
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def told_by(names: Iterable[str]) -> tuple[str, ...]:
    """Return how names are spelled in ``words``, each once."""
    return tuple(dict.fromkeys(spelling for name in names if (spelling := words(name))))


@dataclass(frozen=True, slots=True)
class NamesAround:
    """What the words around one number name; arrays of shape (things + 1,), the last names nothing.

    Attributes:
        here: Named in its sentence, or by its row and head.
        near: Named there, before, or behind.
        away: How many characters away the nearest name is; behind the number counts twice.
        n_words: How long that name is; 0: none.
        is_part_of_a_name: The number stands in a name, as 3.1 in LLaMA 3.1 8B.
    """

    here: np.ndarray
    near: np.ndarray
    away: np.ndarray
    n_words: np.ndarray
    is_part_of_a_name: bool

    @property
    def names_something(self) -> bool:
        """Whether its sentence names anything."""
        return bool(self.here.any())


@dataclass(frozen=True, slots=True)
class CitableNumbers:
    """All that can be cited, a number of each in arrays of shape (citables,).

    Attributes:
        things: Everything that a citable is of, each once.
        sets: Places in *things* of what any citable is about, each set once: shape (sets, most),
            filled up with ``len(things)``.
        set_of: Which of *sets* each citable is about.
        kinds: Of *things*, and an empty one at the end.
        distinct: As ``Nameable.distinct``, of *things*, and false at the end.
        names: Finds any spelling in ``words``, the longest first.
        meant: Spelling → places of the things that it names.
    """

    citables: tuple[Citable, ...]
    values: np.ndarray
    printed: np.ndarray
    percent: np.ndarray
    rank: np.ndarray
    command: np.ndarray
    things: tuple[Nameable, ...]
    sets: np.ndarray
    set_of: np.ndarray
    kinds: np.ndarray
    distinct: np.ndarray
    names: re.Pattern[str] | None
    meant: dict[str, list[int]]

    @classmethod
    def of(cls, citables: Sequence[Citable]) -> "CitableNumbers":
        """Return *citables* as arrays."""
        things = tuple(dict.fromkeys(thing for c in citables for thing in c.about))
        places = {thing: i for i, thing in enumerate(things)}
        sets = dict.fromkeys(c.about for c in citables)
        most = max(map(len, sets), default=0)
        padded = [[*(places[t] for t in one), *[len(things)] * (most - len(one))] for one in sets]
        numbered = {about: i for i, about in enumerate(sets)}
        meant: dict[str, list[int]] = {}
        for i, thing in enumerate(things):
            for spelling in thing.spellings:
                meant.setdefault(spelling, []).append(i)
        ordered = "|".join(map(re.escape, sorted(meant, key=len, reverse=True)))
        return cls(
            tuple(citables),
            np.array([c.value for c in citables], float),
            np.array([printed(c.value, c.column) for c in citables], float),
            np.array([c.column.percent for c in citables], bool),
            np.array([c.rank for c in citables], int),
            np.array([c.command for c in citables], str),
            things,
            np.array(padded, int).reshape(len(sets), most),
            np.array([numbered[c.about] for c in citables], int),
            np.array([*(t.kind for t in things), ""], str),
            np.array([*(t.distinct for t in things), False], bool),
            re.compile(rf"(?<![^ ])(?:{ordered})(?![^ ])") if meant else None,
            meant,
        )

    # ------------------------------------------------------------------------ words

    def read(self, of: Number) -> NamesAround:
        """Return what the words around a number name."""
        before, after = words(of.before), words(of.after)
        here = self._named(words(of.sentence))
        away = np.full(len(self.things) + 1, np.inf)
        n_words = np.zeros(len(self.things) + 1, int)
        found = [(len(before) - end, text) for _, end, text in self._mentions(before)]
        found += [(2 * start, text) for start, _, text in self._mentions(after)]
        for distance, text in found:
            for i in self.meant[text]:
                if distance < away[i]:
                    away[i], n_words[i] = distance, len(text.split())
        near = here | (n_words > 0)
        return NamesAround(here, near, away, n_words, self._in_a_name(before, of, after))

    def _mentions(self, text: str) -> list[tuple[int, int, str]]:
        return [] if self.names is None else [
            (m.start(), m.end(), m[0]) for m in self.names.finditer(text)
        ]  # fmt: skip

    def _named(self, text: str) -> np.ndarray:
        named = np.zeros(len(self.things) + 1, bool)
        for _, _, spelling in self._mentions(text):
            named[self.meant[spelling]] = True
        return named

    def _in_a_name(self, before: str, of: Number, after: str) -> bool:
        head, own = " ".join(before.split()[-5:]), words(of.digits.text)
        text = " ".join(filter(None, (head, own, " ".join(after.split()[:5]))))
        start = len(head) + 1 if head else 0
        in_name = any(a < start + len(own) and start < b for a, b, _ in self._mentions(text))
        capital = re.search(r"([A-Z][A-Za-z]*)[\s~-]*$", of.before)
        if in_name or not capital or of.sure or of.digits.value >= 10:
            return in_name
        last = self._named(words(capital[1]))
        return not (last & (self.kinds == "column")).any()  # BLEU 3.1 is none: LLaMA 3.1 is one

    # ------------------------------------------------------------------------ which may be meant

    def of_any(self, named: np.ndarray) -> np.ndarray:
        """Return which citables are about any of *named* (things + 1,): shape (citables,)."""
        found: np.ndarray = named[self.sets].any(1)[self.set_of]
        return found

    def agrees(self, said: NamesAround, *, all_columns: bool = False) -> np.ndarray:
        """Return which citables are of what the sentence names: shape (citables,).

        Where it names no thing of a kind, any will do. *all_columns*: columns bind too whose
        names are plain words of prose.
        """
        agreed = np.ones(len(self.citables), bool)
        for kind in ("column", "model"):
            of_kind = self.kinds == kind
            named = said.here & of_kind
            binding = named if all_columns or kind == "model" else named & self.distinct
            if binding.any():
                agreed &= self.of_any(named) | ~self.of_any(of_kind)
        for kind in NAMED_NEARBY:
            divided = self.kinds == kind
            if divided.any():
                agreed &= ~self.of_any(divided) | self.of_any(said.near & divided)
        return agreed

    def same_prompt(self, said: NamesAround) -> np.ndarray:
        """Return which citables are of a prompt that the sentence names, if it names one."""
        of_prompts = self.kinds == "prompt"
        named = said.here & of_prompts
        if not named.any():
            return np.ones(len(self.citables), bool)
        agreed: np.ndarray = self.of_any(named) | ~self.of_any(of_prompts)
        return agreed

    def unlike(self, found: Citable, said: NamesAround) -> str:
        """Return what the sentence names that *found* is not of."""
        own = {self.things.index(thing) for thing in found.about}
        for kind in ("model", "column"):
            named = [i for i in np.flatnonzero(said.here & (self.kinds == kind)) if i not in own]
            if named and not any(said.here[i] for i in own if self.things[i].kind == kind):
                return self.things[int(named[0])].label
        return ""

    def n_named(self, said: NamesAround) -> np.ndarray:
        """Return how many models that the words name each citable is of."""
        models = said.near & (self.kinds == "model")
        n_named: np.ndarray = models[self.sets].sum(1)[self.set_of]
        return n_named

    # ------------------------------------------------------------------------ digits

    def has(self, digits: Digits, scale: float = 1.0) -> np.ndarray:
        """Return which citables *digits* are a rounding of, as they are or *scale* times."""
        value, most = digits.value / scale, digits.half / scale * (1 + DUST)
        off: np.ndarray = np.minimum(np.abs(self.values - value), np.abs(self.printed - value))
        return off <= most

    def holds(self, relation: WrittenRelation, digits: Digits, scale: float = 1.0) -> np.ndarray:
        """Return which citables have this relation to a number."""
        value, dust = digits.value / scale, 1e-12
        if relation == "=":
            return self.has(digits, scale)
        over = self.values - value if relation[0] == ">" else value - self.values
        return over > (-dust if relation.endswith("=") else dust)

    def best(
        self, among: np.ndarray, of: Number, said: NamesAround, scale: float = 1.0
    ) -> Citable | None:
        """Return that of *among* (citables,) of which the text around *of* says most.

        Of those of which it says as much: what is named nearest, then the nearest value.
        """
        at = np.flatnonzero(among)
        if not len(at):
            return None
        about = self.sets[self.set_of[at]]
        n_words, away = said.n_words[about], np.where(said.n_words > 0, said.away, 0)[about]
        known = (about < len(self.things)).sum(1)
        here = said.here[about].sum(1) / np.maximum(1, known)
        near = said.near[about].sum(1) / np.maximum(1, known)
        off = np.abs(self.values[at] - of.digits.value / scale)
        keys = (off, -n_words.sum(1), away.sum(1), self.rank[at], -near, -here)  # last counts most
        return self.citables[int(at[np.lexsort(keys)[0]])]
