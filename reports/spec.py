"""What a report is about: which conditions, under which metrics, with which words around them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from empathy_core.metrics import MetricProtocol
from empathy_core.types import Condition


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
        label: LaTeX label of the main table; the other tables' labels begin with it.
        assumed: (setting, value) of what the paper leaves open.
        published: File in ``published/`` to compare with; null means none.
        provenance: Commit, versions, command, platform: printed on the page only.
        notes: Further sentences for the notes of the main table.
        audit_text: The data audit, as printed by ``data``.
        samples_shown: Examples printed in full on the page; the text is sensitive, and some
            licences forbid passing it on, so 0 is a choice.
    """

    conditions: tuple[Condition, ...]
    metrics: Mapping[str, MetricProtocol]
    data_digest: str
    title: str = "Empathy evaluation"
    caption: str = "Comparison of models across various evaluation metrics."
    label: str = "tab:main"
    assumed: tuple[tuple[str, str], ...] = ()
    published: str | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    audit_text: str = ""
    samples_shown: int = 5
