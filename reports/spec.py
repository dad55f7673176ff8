"""What a report is about: which conditions, under which metrics, with which words around them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from empathy_core.metrics import MetricProtocol
from empathy_core.metrics._people import CorrectedJudge, People, corrected_judges
from empathy_core.stats import CalibrationRule
from empathy_core.types import Column, Condition
from reports.keys import HasColumns, Keys
from reports.refined import RefinementOutcome

Environment = Literal["auto", "table", "table*", "longtable"]
Intervals = Literal["none", "brackets", "plusminus", "row"]
Correction = Literal["holm", "bh"]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is set in LaTeX; a page of HTML follows *intervals* alone.

    Attributes:
        environment: ``auto`` takes ``table``, and in two columns ``table*`` for what one of them
            does not hold.
        intervals: Where the cells' intervals stand: in small print in a row below (``row``; in a
            table of their own where the text is too narrow for that), or beside the number
            (``brackets``, ``plusminus``).
        fit: Whether a table that is too wide is set smaller, never below 7 pt, and divided.
        siunitx: Whether columns of numbers are siunitx's ``S``; points stand under each other
            either way, and without it LaTeX is up to ten times faster.
    """

    environment: Environment = "auto"
    intervals: Intervals = "row"
    fit: bool = True
    siunitx: bool = False


@dataclass(frozen=True, slots=True)
class Contrast:
    """A declared comparison: mean over pairs of conditions of second less first.

    Attributes:
        pairs: (first, second) condition ids: same prompt and decoding, where a model is meant.
    """

    name: str
    label: str
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is computed beside the scores.

    Attributes:
        correction: Whose p the daggers follow: Holm's (no false finding in the family) or
            Benjamini and Hochberg's (at most 5 % false ones among the findings).
        subgroups: What the rows are divided by: ``length``, ``source``, or another column of the
            examples.
        margins: Key of a column → the least difference that matters, in units of the score: what
            "not significantly different" must exclude by a test of equivalence.
        most_empty: Share of empty answers above which a table is stamped and nothing is marked.
    """

    correction: Correction = "holm"
    contrasts: tuple[Contrast, ...] = ()
    subgroups: tuple[str, ...] = ()
    margins: Mapping[str, float] = field(default_factory=dict)
    most_empty: float = 0.05


SETTINGS = "settings.json"
"""File of a report that holds what ``[report]`` said when it was written."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What a training wrote down at one step.

    Attributes:
        loss: Of the training rows since the point before; null where it was not taken.
        validation_loss: Null where it was not taken.
        sample_tokens: Mean length of answers to a few validation questions; null as before.
    """

    step: int
    epoch: float
    loss: float | None
    validation_loss: float | None
    sample_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One adapter beside its base.

    Attributes:
        tuned: Id of the condition with the adapter.
        base: Id of the condition without it: same prompt, same rows, same quantisation.
        unquantized: Id of the base that is not quantised, under the same prompt; null where
            *base* is that already, or where it is not in the run.
        label: What tells it from others of its base, e.g. ``n = 525, seed 0``.
        train_size: Rows that were trained on.
        sources: ``all``, or the names of the training rows' sources joined by ``+``.
        family: Name of the table in the configuration; the tests of one family are corrected
            together.
        notes: Sentences that must stand below every table with it.
        curve: In the order of steps; empty if it is not known.
    """

    tuned: str
    base: str
    unquantized: str | None
    label: str
    train_size: int
    seed: int
    sources: str
    family: str
    notes: tuple[str, ...] = ()
    curve: tuple[CurvePoint, ...] = ()


SFT = "SFT"
"""How an adapter is made that learns answers."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A condition that was made of another: tuned, refined, or chosen among its samples.

    Attributes:
        condition: Its id.
        base: Id of what it is compared with: the base, the parent prompt, one sample.
        how: As printed, e.g. ``DPO``.
        detail: What tells it from others that were made likewise.
        unquantized: Id of a base that is not quantised; null where *base* is that, or where it is
            not in the run.
    """

    condition: str
    base: str
    how: str
    detail: str = ""
    unquantized: str | None = None


@dataclass(frozen=True, slots=True)
class Commands:
    """What a reader of the page types; empty where it is not known.

    Attributes:
        again: Makes the whole run from nothing, beside this one.
        explain: Tells where a number comes from; its key follows, after a blank.
        unredacted: Writes the page with all texts, for the eyes of whoever holds the data.
    """

    again: str = ""
    explain: str = ""
    unredacted: str = ""


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """What the array tasks of one stage and model used of what they were given.

    Attributes:
        work: Stage and model.
        n: Array tasks that began.
        mem_gb: The most that one used, and was given; null where nobody tells.
        minutes: The longest that one ran, and its time limit.
        cpu_share: Time of processors over time times processors.
        gpu_share: Of all GPUs that one had.
        gpu_h: GPU-hours, and those of attempts that finished nothing.
    """

    work: str
    n: int
    mem_gb: tuple[float | None, float | None]
    minutes: tuple[float | None, float | None]
    cpu_share: float | None
    gpu_share: float | None
    gpu_h: tuple[float, float]


@dataclass(frozen=True, slots=True)
class ClusterUse:
    """What a run took on Slurm.

    Attributes:
        at: When that was, for people.
        lines: In the order in which the work was submitted.
        failures: A sentence each cause, with its count and nodes.
    """

    at: str
    lines: tuple[ResourceUse, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlagsElsewhere:
    """How a judge's yes and no agreed with people's on other data.

    Attributes:
        positive: Answers there to which people say yes; the judge *found* so many of them.
        negative: Answers there to which people say no; the judge *cleared* so many of them.
        source: Which data.
    """

    positive: int
    found: int
    negative: int
    cleared: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSpec:
    """Everything that a report needs beside the rows of the run.

    Attributes:
        conditions: The rows of the tables, in this order.
        metrics: Key (``<name>-<hash>``, the folder under ``scores/``) → metric, in the order of
            the tables' columns.
        data_digest: What every piece must bear as its tag ``data``.
        title: Heading of the page.
        caption: Of the main table, ending in a full stop.
        short_caption: For the list of tables; empty: none of its own.
        label: LaTeX label of the main table; the other tables' labels begin with it.
        assumed: (setting, value) of what the paper leaves open.
        published: File in ``published/`` to compare with; null means none.
        provenance: Commit, versions, command, platform: printed on the page only.
        notes: Further sentences for the notes of the main table.
        older: Sentences on what an older version of the suite made: rows, answers, adapters.
        audit_text: The data audit, as printed by ``data``.
        withheld: Source → why no word of its examples stands on the page: ids, digests and scores
            do.
        not_to_pass_on: Source → why the page, which shows its texts, must not be passed on.
        finetunes: Adapters to be compared with their bases; their ids are those of *conditions*.
        derived: What was made of what; their ids are those of *conditions*.
        adapters: Condition id → digest of the adapter's weights that its answers were made with.
        layout: How the tables are set.
        columns: Names of what stands in Table 1 (``tables/columns.py``); empty: the main columns.
        analysis: What is tested and divided.
        commands: What the page says that one can type.
        settings: What of ``[report]`` this follows, to be recorded with it; empty: not known.
        requirements: Name of a judge → what it must reach to count as calibrated; of others the
            rule's own defaults hold.
        barred: Ids of conditions in which people confirmed a severe fault in a reply to a person
            at risk: never marked as best, in no table. Empty until people's ratings are there.
        used: What it took on Slurm, for the page alone; null where it is not known.
        elsewhere: (judge, rubric, dimension) → how its yes and no agreed with people's on other
            data.
        refinements: What came of prompt refinements of the run.
        test_looks: Digest of test rows → how often refinements of the run looked at them.
    """

    conditions: tuple[Condition, ...]
    metrics: Mapping[str, MetricProtocol]
    data_digest: str
    title: str = "Empathy evaluation"
    caption: str = "Comparison of models across various evaluation metrics."
    short_caption: str = ""
    label: str = "tab:main"
    assumed: tuple[tuple[str, str], ...] = ()
    published: str | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    older: tuple[str, ...] = ()
    audit_text: str = ""
    withheld: Mapping[str, str] = field(default_factory=dict)
    not_to_pass_on: Mapping[str, str] = field(default_factory=dict)
    finetunes: tuple[Comparison, ...] = ()
    derived: tuple[Derived, ...] = ()
    adapters: Mapping[str, str] = field(default_factory=dict)
    layout: Layout = field(default_factory=Layout)
    columns: tuple[str, ...] = ()
    analysis: Analysis = field(default_factory=Analysis)
    commands: Commands = field(default_factory=Commands)
    settings: Mapping[str, Any] = field(default_factory=dict)
    requirements: Mapping[str, CalibrationRule] = field(default_factory=dict)
    elsewhere: Mapping[tuple[str, str, str], FlagsElsewhere] = field(default_factory=dict)
    refinements: tuple[RefinementOutcome, ...] = ()
    test_looks: Mapping[str, int] = field(default_factory=dict)
    barred: frozenset[str] = frozenset()
    used: ClusterUse | None = None

    @property
    def main_columns(self) -> tuple[tuple[str, Column], ...]:
        """Metric key and column of each number that is a main one of its metric."""
        return tuple((k, c) for k, m in self.metrics.items() for c in m.columns if c.main)

    @property
    def printed(self) -> dict[str, MetricProtocol]:
        """Key → metric of those with a column: comparisons beside the baseline's have none."""
        return {key: metric for key, metric in self.metrics.items() if metric.columns}

    @property
    def corrected(self) -> dict[str, CorrectedJudge]:
        """Key → column of each judge that people's ratings correct."""
        return corrected_judges(self.metrics)

    @property
    def rated_by_people(self) -> frozenset[str]:
        """Keys of what people rated: a sample of the answers, so that most have no score."""
        return frozenset(key for key, m in self.metrics.items() if isinstance(m, People))

    @property
    def with_corrected(self) -> dict[str, HasColumns]:
        """Key → everything that has columns: the metrics, then the corrected judges."""
        return {**self.metrics, **self.corrected}

    def keys(self, subsets: Iterable[str] = ()) -> Keys:
        """Return what numbers are called; *subsets*: all that the report has."""
        declared = [contrast.name for contrast in self.analysis.contrasts]
        return Keys.of(self.conditions, self.with_corrected, declared, subsets)
