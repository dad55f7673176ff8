"""The paths of a run."""

import fcntl
import shutil
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from empathy_core.errors import Busy, ConfigError
from empathy_core.store.files import PARTIAL, disk_errors, make_dir
from empathy_core.store.modes import file_mode

if TYPE_CHECKING:
    from filelock import FileLock

MOST_BYTES = 255
"""Of the name of a file or folder, on nearly every file system."""
UNFINISHED_BYTES = len(f"..01234567{PARTIAL}")
"""What the name of a file has more while it is not yet whole."""


def one_name(name: str, ending: str = "") -> str:
    """Return *name* and *ending* as the name of one folder, or with an *ending* of one file.

    Raises:
        ConfigError: It would lead elsewhere, is too long, or holds what is no text.
    """
    if problem := _problem(name, ending):
        shown = ascii(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…")
        msg = (
            f"{shown} cannot be the name of a file or folder: {problem}; expected letters, digits "
            "and signs other than '/'; choose another name"
        )
        raise ConfigError(msg)
    return f"{name}{ending}"


_SHOWN = 60


def _problem(name: str, ending: str) -> str:
    """Return why there can be no such file or folder; empty if there can."""
    if name in ("", ".", ".."):
        return "it stands for no folder, or for one above"
    if "/" in name or any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        return "it holds a slash, or a character that is no text"
    n_bytes, most = len(name.encode()), MOST_BYTES
    if ending:
        most -= len(ending) + UNFINISHED_BYTES
    return f"it has {n_bytes} bytes, and {most} are the most" if n_bytes > most else ""


@dataclass(frozen=True, slots=True)
class RunDir:
    """The paths of one run."""

    root: Path

    @property
    def examples(self) -> Path:
        """All cleaned rows (``EXAMPLES``)."""
        return self.root / "examples" / "examples.parquet"

    @property
    def columns(self) -> Path:
        """Columns of the sources that are carried along; not there where none are."""
        return self.root / "examples" / "columns.parquet"

    @property
    def audit(self) -> Path:
        """The data audit, as JSON."""
        return self.root / "examples" / "audit.json"

    @property
    def data(self) -> Path:
        """What the frozen rows were made from: their identity. Written last of the four."""
        return self.root / "examples" / "data.json"

    @property
    def report(self) -> Path:
        """The tables and the page."""
        return self.root / "report"

    def earlier_report(self, version: int) -> Path:
        """The last report whose numbers were of an earlier version of the suite."""
        return self.root / f"report-of-version-{version}"

    @property
    def logs(self) -> Path:
        """One log for each task."""
        return self.root / "logs"

    def rendering(self, key: str) -> Path:
        """What the planner learned when it rendered one model's prompts."""
        return self.root / "prompts" / one_name(key, ".json")

    def generations(self, condition: str) -> Path:
        """Folder of a condition's pieces."""
        return self.root / "generations" / one_name(condition)

    def expected(self, condition: str) -> Path:
        """Which examples a condition covers, where it is not all of them (``example``)."""
        return self.generations(condition) / "expected" / "examples.parquet"

    def choice(self, condition: str) -> Path:
        """Which sample of each example was chosen (``metrics._best_of.CHOICES``)."""
        return self.generations(condition) / "choice" / "choice.parquet"

    def generation(self, condition: str, shard: int, n_shards: int) -> Path:
        """A piece of generated rows."""
        return self.generations(condition) / shard_name(shard, n_shards)

    def journals(self, condition: str) -> Path:
        """Folder of a condition's journals."""
        return self.generations(condition) / "journal"

    def journal(self, condition: str, shard: int, n_shards: int, attempt: str) -> Path:
        """The journal of one attempt at one shard."""
        return self.journals(condition) / one_name(
            f"{shard_name(shard, n_shards, '')}.{attempt}", ".jsonl"
        )

    def scores(self, metric: str, condition: str) -> Path:
        """Folder of a condition's per-row statistics under one metric (``<name>-<hash>``)."""
        return self.root / "scores" / one_name(metric) / one_name(condition)

    def score(self, metric: str, condition: str, shard: int, n_shards: int) -> Path:
        """A piece of per-row statistics."""
        return self.scores(metric, condition) / shard_name(shard, n_shards)

    def known_scores(self, metric: str, condition: str) -> Path:
        """Statistics of answers that were copied from another run, a row each."""
        return self.scores(metric, condition) / "copied" / "rows.parquet"

    def kept_journal(self, condition: str) -> Path:
        """Answers that were copied from another run, and whose blocks lack others."""
        return self.journals(condition) / f"{shard_name(0, 0, '')}.copied.jsonl"

    def adapter(self, finetune: str) -> Path:
        """A trained adapter: complete, or not there."""
        return self.root / "adapters" / one_name(finetune)

    def training(self, finetune: str) -> Path:
        """What the attempts at one adapter have written so far, a folder each."""
        return self.root / "adapters" / f".{one_name(finetune, '.partial')}"

    def pairs(self, name: str, digest: str) -> Path:
        """Frozen preference pairs; their audit stands beside them."""
        return self.root / "pairs" / one_name(f"{name}-{digest}", ".parquet")

    @property
    def references(self) -> Path:
        """What models that preference tunings start from say of pairs; see ``loop.reference``."""
        return self.root / "pairs" / "references"

    def diagnosis(self, condition: str) -> Path:
        """The page on a condition's broken answers."""
        return self.root / "diagnosis" / one_name(condition, ".html")

    def curves(self, finetune: str, attempt: str) -> Path:
        """TensorBoard's files of one attempt at an adapter."""
        return self.root / "tensorboard" / one_name(finetune) / one_name(attempt)

    def log(self, task: str) -> Path:
        """The log of one task."""
        return self.logs / one_name(task, ".log")

    @property
    def annotation(self) -> Path:
        """Rounds of people's ratings, a folder each; their keys tell who wrote what."""
        return self.root / "annotation"

    @property
    def refinements(self) -> Path:
        """Prompt refinements, a folder each."""
        return self.root / "refine"

    def refinement(self, name: str) -> Path:
        """Folder of one prompt refinement: its settings, prompts, rankings, and a run a step."""
        return self.refinements / one_name(name)

    @property
    def test_looks(self) -> Path:
        """Which refinements of this run looked at the test rows, a line each."""
        return self.refinements / "test-looks.jsonl"

    @property
    def slurm(self) -> Path:
        """What was submitted to Slurm: a folder each, with script, elements and logs."""
        return self.root / "slurm"

    @property
    def jobs(self) -> Path:
        """Which submission has which job id, a line each."""
        return self.slurm / "jobs.jsonl"

    @property
    def used(self) -> Path:
        """What array tasks used of what they were given, as the report job found it."""
        return self.slurm / "used.json"

    def submission(self, name: str) -> Path:
        """Folder of one submission."""
        return self.slurm / one_name(name)

    def code(self, digest: str) -> Path:
        """The suite as it was when something was submitted."""
        return self.slurm / "code" / one_name(digest)

    def plans(self) -> list[Path]:
        """Return the plans, oldest first."""
        return sorted((self.root / "plans").glob("[0-9]*.json"))

    def next_plan(self) -> Path:
        """Return the path of the plan to write; call it under the lock."""
        last = self.plans()
        number = int(last[-1].stem) + 1 if last else 1
        return self.root / "plans" / f"{number:04d}.json"

    def set_aside(self, path: Path) -> Path:
        """Move a file that cannot be used out of the way, and return where it is now."""
        relative = path.relative_to(self.root)
        # of a long path its end
        name = "-".join(relative.parts).encode()[-200:].decode(errors="ignore")
        target = self.root / "set-aside" / f"{uuid.uuid4().hex[:8]}-{name}"
        make_dir(target.parent)
        shutil.move(path, target)
        return target

    @contextmanager
    def lock(self, timeout_s: float = 30.0) -> Iterator[None]:
        """Hold the planning lock; what ends by an error leaves neither it nor an empty folder.

        Raises:
            Busy: Another sweep held it for *timeout_s*.
        """
        from filelock import Timeout

        path = self.root / ".lock"
        with disk_errors(self.root):
            made = [folder for folder in path.parents if not folder.exists()]
            known = path.exists()
        try:
            lock = _acquired(path, timeout_s)
        except Timeout as error:
            msg = (
                f"another sweep is planning {self.root}: waited {timeout_s:.0f} s for it; "
                "run the same command again when it is done"
            )
            raise Busy(msg) from error
        try:
            yield
        except BaseException:
            if not known:
                path.unlink(missing_ok=True)
            with suppress(OSError):  # something is in it
                for folder in made:
                    folder.rmdir()
            raise
        finally:
            lock.release()

    @contextmanager
    def task_lock(self, task: str) -> Iterator[None]:
        """Hold the lock of one task, waiting as long as another process of this machine has it."""
        from filelock import FileLock

        path = make_dir(self.root / "locks") / one_name(task, ".lock")
        lock = FileLock(path, mode=file_mode(path))
        with disk_errors(path):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


def _acquired(path: Path, timeout_s: float) -> "FileLock":
    """Return the lock of *path*, which this process holds.

    Whoever removes the file holds its lock: one that waited for it may then hold the lock of a
    file that is gone. It tries again if the file in its place is locked by nobody.
    """
    from filelock import FileLock

    while True:
        make_dir(path.parent)
        lock = FileLock(path, timeout=timeout_s, mode=file_mode(path))
        with disk_errors(path.parent):
            lock.acquire()
        if path.exists() and not _is_free(path):
            return lock
        lock.release()


def _is_free(path: Path) -> bool:
    """Tell whether nobody has the lock of a file; false where there are no such locks."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def shard_name(shard: int, n_shards: int, suffix: str = ".parquet") -> str:
    """Return how the file of one shard is called."""
    return f"{shard:05d}-of-{n_shards:05d}{suffix}"
