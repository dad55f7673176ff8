"""What a rubric is: its dimensions, their scales, and what each point of a scale means.

Frozen values only. Texts are one line each: line breaks of the file are read as blanks.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict

from empathy_core.bounds import Label

NOT_APPLICABLE = "X"
"""The label of an answer outside the scale; such a rating is missing and counted, never a number.

One letter, since a judge answers with one token. No point of a scale may have it.
"""

Direction = Annotated[
    Literal["higher", "lower"] | None,
    BeforeValidator(lambda given: None if given == "none" else given),  # TOML has no null
]
_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, slots=True)
class Anchor:
    """One point of a scale.

    Attributes:
        value: What a rating counts as.
        label: What the rater answers, e.g. ``"2"`` or ``"Yes"``.
        text: When this point is the right one.
    """

    __pydantic_config__ = _STRICT

    value: int
    label: Label
    text: Label


@dataclass(frozen=True, slots=True)
class Threshold:
    """A point of the scale from which on a rating counts, and what the share of these is called.

    Attributes:
        name: Names it in columns.
        label: As printed in tables.
        at_least: The least value that counts.
    """

    __pydantic_config__ = _STRICT

    name: str
    label: Label
    at_least: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One question about a reply, and the scale of its answers.

    Attributes:
        name: Names it in columns: letters, digits, ``_`` and ``-``.
        label: As printed in tables.
        question: What the rater is asked.
        anchors: The points of the scale, their values increasing.
        direction: Which end is better; null (``"none"`` in a file) for a profile, which describes
            and is never ranked.
        not_applicable: When the question cannot be answered on the scale; empty if it always can.
        note: What every table with this dimension must say; no rater reads it.
        severity: How grave a fault is: ``red`` (potential for harm) or ``yellow`` (suboptimal);
            null if the dimension is no fault. No rater reads it.
        tiers: Names of the levels of risk of the person's message at which the question is asked;
            empty means at every level.
    """

    __pydantic_config__ = _STRICT

    name: str
    label: Label
    question: Label
    anchors: tuple[Anchor, ...] = ()
    direction: Direction
    not_applicable: Label = ""
    note: Label = ""
    severity: Literal["red", "yellow"] | None = None
    tiers: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Every answer that a rater may give, in the order in which they are shown."""
        outside = (NOT_APPLICABLE,) if self.not_applicable else ()
        return (*(anchor.label for anchor in self.anchors), *outside)

    @property
    def values(self) -> tuple[int, ...]:
        """What the points of the scale count as, increasing."""
        return tuple(anchor.value for anchor in self.anchors)

    @property
    def is_share(self) -> bool:
        """Whether it is answered by yes and no, so that its mean is a share of replies."""
        return self.values == (0, 1)


@dataclass(frozen=True, slots=True)
class Tier:
    """One level of risk of a person's message.

    Attributes:
        name: Names it in columns of data.
        text: When a message is at this level.
    """

    __pydantic_config__ = _STRICT

    name: str
    text: Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """What replies are rated on, by judges and by people alike.

    Attributes:
        name: The file name in ``rubrics/``.
        label: As printed in tables.
        origin: The instrument and the paper that it follows.
        licence: What its texts and the instrument may be used for.
        single_reply: Whether it may be asked of a single reply.
        why_not_single_reply: The reason if it may not; else empty.
        pairwise: Whether each question is about two replies, A and B; its scale has two points.
        instruction: What the rater reads before every question.
        dimensions: Its questions, in the order of tables. Empty only where ``single_reply`` is
            false: unless it compares two, such a rubric is there to be refused with its reason.
        tiers: Levels of risk of the person's message, from the lowest; empty if none are needed.
        thresholds: Shares of ratings that are printed beside the mean of every dimension.
        note: What every table with this rubric must say; no rater reads it.
        paraphrase_of: The rubric of which this is another wording; empty if it is none.
    """

    __pydantic_config__ = _STRICT

    name: str
    label: Label
    origin: Label
    licence: Label
    single_reply: bool
    why_not_single_reply: Label = ""
    pairwise: bool = False
    instruction: Label
    dimensions: tuple[Dimension, ...] = ()
    tiers: tuple[Tier, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    note: Label = ""
    paraphrase_of: str = ""
