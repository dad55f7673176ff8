"""What was seen of answers, and what is said of them. Frozen values only."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import fmean, median
from typing import Literal

from empathy_core.types import Condition

CAUSES = (
    "decode-bug", "stop-token-bug", "not-reproduced", "reasoning-only", "ends-at-once",
    "end-untrained", "flat-distribution", "loops", "echoes", "limit", "none",
)  # fmt: skip

Kind = Literal["end of text", "end of turn", "special", "pad", "start", "unknown", "word"]


@dataclass(frozen=True, slots=True)
class Stop:
    """One token that ends an answer, or should.

    Attributes:
        kind: ``end of text`` is the tokenizer's EOS, ``end of turn`` what the chat template puts
            after an answer; ``word`` is a token that is not special.
        listed: Whether generation stops at it.
    """

    id: int
    text: str
    kind: Kind
    listed: bool = True

    @property
    def proper(self) -> bool:
        """Whether an answer may end at it."""
        return self.kind in ("end of text", "end of turn", "special")


@dataclass(frozen=True, slots=True)
class Token:
    """One token of one distribution; rank 1 is the most probable."""

    id: int
    text: str
    probability: float
    rank: int


@dataclass(frozen=True, slots=True)
class Step:
    """The distribution of one token, before penalties, temperature and the like.

    Attributes:
        number: Place in the answer, from 1.
        taken: What followed; null after the last token.
        top: The most probable tokens, at least two.
        entropy: In nats.
        ends: What ends an answer, in order of ``Facts.stops``.
        stored: What the stored answer has here, where it parts from the re-run; else null.
    """

    number: int
    taken: Token | None
    top: tuple[Token, ...]
    entropy: float
    ends: tuple[Token, ...]
    stored: Token | None = None

    @property
    def margin(self) -> float:
        """By how much the first is before the second, in log-probability."""
        first, second = self.top[0].probability, self.top[1].probability
        return log(first) - log(second) if second > 0 else float("inf")


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer as ids, and what decoding makes of them.

    Attributes:
        text: The answer, as stored or as returned.
        stop: eos | length.
        ids: The end token included.
        tokens: How each id is written.
        visible: The ids decoded now, as an answer is: without special tokens.
        whole: The ids decoded now, special tokens spelled out.
        n_thought: How many of the ids are a model's reasoning.
    """

    text: str
    stop: str
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    visible: str
    whole: str
    prompt_sha256: str
    n_thought: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """One row: what is stored, and what came of answering it again.

    Attributes:
        prompt: As plain text.
        faults: Columns of the metric ``diagnostics`` that the stored answer shows.
        prompt_tail: How the last tokens of the prompt are written.
        prompt_end: The prompt's last id.
        steps: One for each token of the re-run.
    """

    example: str
    sample: int
    source: str
    question: str
    prompt: str
    faults: tuple[str, ...]
    stored: Answered
    rerun: Answered
    prompt_tail: tuple[str, ...]
    prompt_end: int
    n_prompt_tokens: int
    steps: tuple[Step, ...]

    @property
    def difference(self) -> int | None:
        """Place, from 0, of the first token in which stored and re-run differ; null if none."""
        return first_difference(self.stored.ids, self.rerun.ids)


def shown_probability(p: float) -> str:
    """Return *p* as all of a diagnosis writes it."""
    return f"{p:.3f}" if p >= 0.01 else f"{p:.1e}"


def first_difference(left: Sequence[object], right: Sequence[object]) -> int | None:
    """Return the place, from 0, at which two sequences part; null if they are equal."""
    pairs = zip(left, right, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))
    return None if at == len(left) == len(right) else at


@dataclass(frozen=True, slots=True)
class Reference:
    """The distribution after one whole reference answer."""

    example: str
    n_tokens: int
    step: Step


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds for all rows of a condition.

    Attributes:
        stops: What generation stops at, and the template's end of turn where it is not among it.
        vocabulary: Number of tokens that have a probability.
        references: What the model expects after whole reference answers; may be empty.
        allowed: Findings of the fine-tune's preflight that its training was told to pass over.
        template_unused: Whether the tokenizer has a chat template and the prompts do without it.
    """

    condition: Condition
    stops: tuple[Stop, ...]
    vocabulary: int
    references: tuple[Reference, ...] = ()
    allowed: tuple[str, ...] = ()
    template_unused: bool = False

    def stop(self, id_: int) -> Stop | None:
        """Return the stop of that id; null if it is none."""
        return next((s for s in self.stops if s.id == id_), None)

    @property
    def proper(self) -> tuple[Stop, ...]:
        """The model's own ends."""
        return tuple(s for s in self.stops if s.proper)

    def end(self, step: Step) -> Token:
        """Return the most probable of the model's own ends at *step*."""
        own = {s.id for s in self.proper}
        return min((t for t in step.ends if t.id in own), key=lambda t: t.rank, default=_NO_END)


_NO_END = Token(-1, "(none)", 0.0, 10**9)


@dataclass(frozen=True, slots=True)
class EndAfter:
    """How probable the end is after a whole answer: geometric mean and median over references."""

    n: int
    probability: float
    rank: float


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause that fits.

    Attributes:
        name: One of ``CAUSES``.
        evidence: What was seen; holds no word of question or answer.
        remedy: What to do; empty if nothing has to be done.
        quote: The words that the evidence is about; empty if none.
    """

    name: str
    evidence: str
    remedy: str = ""
    quote: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found.

    Attributes:
        rows: Each row with its causes, at least one, in order of ``CAUSES``.
        counts: Cause → rows that it fits, most rows first.
        end_after: Null without references.
    """

    facts: Facts
    rows: tuple[tuple[Observation, tuple[Cause, ...]], ...]
    counts: tuple[tuple[str, int], ...]
    end_after: EndAfter | None


def end_after(facts: Facts) -> EndAfter | None:
    """Return how probable the end is after the references; null without any."""
    ends = [facts.end(r.step) for r in facts.references]
    if not ends:
        return None
    mean = exp(fmean(log(max(e.probability, 1e-30)) for e in ends))
    return EndAfter(len(ends), mean, median(e.rank for e in ends))
