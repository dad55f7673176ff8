"""Any metric of the ``evaluate`` library, as columns: ``[metrics."evaluate:<path>"]``.

Computed for each row alone and then averaged: a corpus metric (BLEU, say) gives another number
here than over the whole corpus at once.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from empathy_core.errors import ConfigError, first_line
from empathy_core.metrics._parts import Remark, as_means, means, signature, version
from empathy_core.types import Column
from empathy_core.visible import NORM, as_read


@dataclass(frozen=True)
class Metric:
    """Mean over the rows of what an ``evaluate.Metric`` returns for each.

    Attributes:
        path: Script, or folder with a script of its name; a Hub name under ``allow_hub``.
        keys: Which entries of the result become columns; each is a number.
        better: Direction in which the best value is marked; null marks none.
        main: Stands in the first table.
        arguments: Passed to ``compute`` beside predictions and references.
        allow_hub: Fetch *path* from the Hub if it is not local. It runs the code it finds there.
        revision: Of a Hub name, a commit: its code is then what it was.
        share: Every key is 0 or 1 for each row, so that its mean is a share of rows, printed in
            percent and with the intervals of shares.
        least: The least score that a single row can have; null if that is not known.
        most: The greatest.
        empty: What an answer of which nothing is visible scores, under every key; null asks the
            metric.
    """

    path: str
    keys: tuple[str, ...]
    better: Literal["higher", "lower"] | None = "higher"
    main: bool = False
    arguments: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    allow_hub: bool = False
    revision: str | None = None
    share: bool = False
    least: float | None = None
    most: float | None = None
    empty: float | None = None

    why_unscored: ClassVar[Remark] = Remark("it gave no finite number")

    def __post_init__(self) -> None:
        if not self.keys:
            msg = "'keys' is empty; expected entries of the metric's result; name at least one"
            raise ConfigError(msg)
        if not Path(self.path).exists():
            self._check_hub()

    def _check_hub(self) -> None:
        if not self.allow_hub:
            msg = (
                f"'{self.path}' does not exist; expected a script of the evaluate library, or a "
                "folder with one; correct the path, or set allow_hub = true if it is a name on "
                "the Hub whose code you trust to run here"
            )
            raise ConfigError(msg)
        if self.revision is None:
            msg = (
                f"'{self.path}' is fetched from the Hub without 'revision', so that its code "
                'could change between two runs; expected a commit; add revision = "<commit>"'
            )
            raise ConfigError(msg)

    @property
    def columns(self) -> tuple[Column, ...]:
        """One a key, named after script and key."""
        name = Path(self.path).stem
        shown: dict[str, Any] = {"least": self.least, "most": self.most}
        if self.share:
            shown = {"share": True, "least": 0, "most": 1, "percent": True, "decimals": 1}
        return as_means(
            [
                Column(
                    f"{name}_{key}", _label(name, key), better=self.better, main=self.main, **shown
                )
                for key in self.keys
            ]
        )

    @property
    def statistics(self) -> tuple[str, ...]:
        """The keys of one row, and 1."""
        return (*self.keys, "n")

    def signature(self) -> str:
        """Return the arguments and a digest of the script's code."""
        local = Path(self.path)
        code = _content(local) if local.exists() else f"hub@{self.revision}"
        arguments = ",".join(f"{k}={v}" for k, v in sorted(self.arguments.items())) or "none"
        return signature(
            nrefs=1, metric=local.stem, keys=",".join(self.keys), args=arguments,
            agg="mean-of-rows", code=code, norm=NORM, **self._declared(),
            evaluate=version("evaluate"),
        )  # fmt: skip

    def _declared(self) -> dict[str, str]:
        return {} if self.empty is None else {"empty": f"{self.empty:g}"}

    def prepare(self, references: Sequence[str]) -> "Metric":  # noqa: ARG002 - the protocol's
        """Return itself: each row is computed alone."""
        return self

    def reference_state(self, references: Sequence[str]) -> None:  # noqa: ARG002 - the protocol's
        """Return null: the library takes both texts at once."""
        return

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:  # noqa: ARG002 - see above
        """Return the keys of each row; one with a result that is not finite is unscored.

        Raises:
            ConfigError: The result lacks a key, the entry is not a number, or, of a share, it is
                neither 0 nor 1.
        """
        found = self._computed(rows, _loaded(self.path, self.revision))
        other = found[~np.isin(found, (0, 1)) & ~np.isnan(found)]
        if self.share and len(other):
            msg = (
                f"metric '{self.path}' gives {other[0]:g}; with share = true it is expected to be "
                "0 or 1 for every row; take share away, or correct 'keys'"
            )
            raise ConfigError(msg)
        found = np.column_stack([found, np.ones(rows.height)])
        found[~np.isfinite(found).all(axis=1)] = np.nan
        return found

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce sums to means."""
        return means(sums, len(self.keys))

    def recheck(self, rows: pl.DataFrame) -> np.ndarray:
        """Load the script anew, and compute each row in the opposite order."""
        fresh = _loaded.__wrapped__(self.path, self.revision)
        found = self._computed(rows.reverse(), fresh)[::-1].copy()
        found[~np.isfinite(found).all(axis=1)] = np.nan
        return found

    def _computed(self, rows: pl.DataFrame, metric: Any) -> np.ndarray:
        pairs = rows.select("text", "reference").iter_rows()
        found = [self._of(metric, as_read(text), as_read(reference)) for text, reference in pairs]
        return np.array(found, dtype=float).reshape(len(found), len(self.keys))

    def _of(self, metric: Any, text: str, reference: str) -> list[float]:
        """Return the keys of one row."""
        if self.empty is not None and not text:
            return [self.empty] * len(self.keys)
        return self._numbers(
            metric.compute(predictions=[text], references=[reference], **self.arguments)
        )

    def _numbers(self, result: Mapping[str, Any] | None) -> list[float]:
        return [_number(self.path, key, dict(result or {})) for key in self.keys]


def _label(name: str, key: str) -> str:
    return name if key in (name, "score") else f"{name} {key}"


def _number(path: str, key: str, result: Mapping[str, Any]) -> float:
    """Return one entry; a list of one number, as some metrics give, is that number."""
    value = result.get(key)
    if isinstance(value, (list, tuple, np.ndarray)) and len(value) == 1:
        value = value[0]
    try:
        return float(value)  # type: ignore[arg-type]  # anything else is the error below
    except (TypeError, ValueError):
        given = f"is {value!r:.60}" if key in result else "is not in its result"
        known = ", ".join(map(str, result)) or "nothing"
        msg = (
            f"metric '{path}': '{key}' {given}; expected a number a row; it returns: {known}. "
            "Correct 'keys' of this metric"
        )
        raise ConfigError(msg) from None


@lru_cache(maxsize=8)
def _loaded(path: str, revision: str | None) -> Any:
    """Load a script; several workers may, so each has its own experiment and no file."""
    import uuid

    import evaluate

    place = str(Path(path).resolve()) if Path(path).exists() else path
    try:
        return evaluate.load(
            place, revision=revision, keep_in_memory=True, experiment_id=uuid.uuid4().hex
        )
    except (OSError, ImportError, ValueError, TypeError, AttributeError) as error:
        reason = first_line(error)
        msg = (
            f"metric '{path}' cannot be loaded ({reason[:200]}); expected a Python file with one "
            "subclass of evaluate.Metric, in a folder of the same name; correct it and run again"
        )
        raise ConfigError(msg) from error


def _content(path: Path) -> str:
    """Return 12 hex digits that stand for a script and what lies beside it in its folder."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    sha = hashlib.sha256()
    for file in files:
        if "__pycache__" not in file.parts:
            name = file.relative_to(path).as_posix() if path.is_dir() else file.name
            sha.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return sha.hexdigest()[:12]
