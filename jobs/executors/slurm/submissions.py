"""What was submitted to Slurm: written before sbatch is called, so that nothing is ever lost.

A submission is a folder ``<run>/slurm/<number>-<stage>-<key>/`` with ``submission.json`` (what
each array task does), the script and one log for each array task. ``jobs.jsonl`` adds its job id
once sbatch has answered. A launcher that was killed in between leaves a submission without an
id; its comment, which Slurm keeps with the job, finds the job again.
"""

import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from empathy_core import store
from empathy_core.errors import Damaged
from empathy_core.store import RunDir
from empathy_core.types import digest
from jobs.executors.slurm.clusters import clusters_of
from jobs.executors.slurm.packing import TaskBundle
from jobs.planning.plan import Plan, Task
from jobs.planning.plan_file import read_plan
from slurm.profile import Resources
from slurm.queue import JobIdentity


@dataclass(frozen=True)
class Submission:
    """One array.

    Attributes:
        name: Of its folder.
        shards: For each array task, the shards that it does.
        plan: Name of the plan's file.
        after: Job ids that it waits for, however they end.
        after_ok: Job ids that must end well.
        after_one_ok: Job ids one of which must end well.
        after_not_ok: Job ids each of which must fail.
        retry: Which try it is for what others failed to do; 0 is not one.
        asked: Resources of one array task (``slurm.profile.Resources``), for people.
        at: When it was submitted, in seconds since 1970, by the controller's clock.
        token: Words that no other submission has; empty in those of older versions.
        uid: Number of the user who submitted it; in those of older versions, of whoever has the
            file.
        job: Job id; null while sbatch has not answered, or if it refused.
        cluster: Name of the cluster that took it; empty where nobody said.
        clusters: Names of those that sbatch was to choose from; empty in those of older versions.
        refused: Why sbatch did not take it; empty if it did, or while nobody knows.
    """

    name: str
    stage: str
    key: str
    n_shards: int
    shards: tuple[tuple[int, ...], ...]
    plan: str
    after: tuple[str, ...]
    after_ok: tuple[str, ...] = ()
    after_one_ok: tuple[str, ...] = ()
    after_not_ok: tuple[str, ...] = ()
    retry: int = 0
    asked: Mapping[str, Any] = field(default_factory=dict)
    at: int = 0
    token: str = ""
    uid: int | None = None
    job: str | None = None
    cluster: str = ""
    clusters: tuple[str, ...] = ()
    refused: str = ""

    @cached_property
    def bundles(self) -> tuple[TaskBundle, ...]:
        """The tasks of each array task."""
        return tuple(
            tuple(Task(self.stage, self.key, shard, self.n_shards) for shard in bundle)
            for bundle in self.shards
        )

    @property
    def resources(self) -> Resources:
        """What one array task was given."""
        known = {k: v for k, v in self.asked.items() if k in Resources.model_fields}
        return Resources.model_construct(**known)

    @property
    def gpus(self) -> int:
        """GPUs of one array task."""
        return self.resources.n_gpus

    def comment(self, run: RunDir) -> str:
        """Return what Slurm keeps with the job: unique to this submission."""
        return f"empathy-suite:{self.token or digest(str(run.root), 12)}:{self.name}"

    def job_name(self, run: RunDir) -> str:
        """Return what squeue shows; it ends with the token, if some plug-in changes the comment."""
        return f"{run.root.name}.{self.stage}.{self.key}"[:80] + f".{self.token}"

    def identity(self, run: RunDir) -> JobIdentity:
        """Return what distinguishes its job from every other."""
        clusters = self.clusters or clusters_of(self.asked, "")
        return JobIdentity(
            self.token or self.comment(run), self.at, self.uid, self.cluster, self.job, clusters,
            random=bool(self.token),
        )  # fmt: skip


def log_path(run: RunDir, submission: str, index: int) -> Path:
    """Return the log of one array task; all its attempts are appended to it."""
    return run.submission(submission) / "logs" / f"{index}.log"


def read_submission(folder: Path) -> Submission:
    """Return the submission of a folder.

    Raises:
        Damaged: It cannot be read.
    """
    path = folder / "submission.json"
    raw = {"uid": None} | store.read_json(path)
    if raw["uid"] is None:
        raw["uid"] = path.stat().st_uid
    shards = tuple(tuple(bundle) for bundle in raw.pop("shards"))
    names = ("after", "after_ok", "after_one_ok", "after_not_ok", "clusters")
    lists = {key: tuple(raw.get(key, ())) for key in names}
    return Submission(**{**raw, **lists, "shards": shards})


class Ledger:
    """The submissions of one run, as the files have them."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self._plans: dict[str, Plan] = {}

    def submissions(self) -> list[Submission]:
        """Return all submissions, oldest first, with the job ids that are known."""
        answers = self._answers()
        sound = []
        for path in sorted(self.run.slurm.glob("[0-9]*/submission.json")):
            try:
                sound.append(read_submission(path.parent))
            except Damaged:  # cut short by a power cut before sbatch was called
                continue
        return [replace(s, **answers.get(s.name, {})) for s in sound]  # type: ignore[arg-type]

    def _entries(self) -> list[dict[str, Any]]:
        try:
            lines = store.json_lines(self.run.jobs.read_text())
        except FileNotFoundError:
            return []
        entries = []
        for line in lines:
            try:
                entries.append(dict(json.loads(line)))
            except ValueError:  # torn by a power cut
                continue
        return entries

    def _answers(self) -> dict[str, dict[str, str]]:
        """Return submission → its job and cluster, or why it was refused."""
        answers: dict[str, dict[str, str]] = {}
        for entry in self._entries():
            said = {k: str(v) for k, v in entry.items() if k in ("job", "cluster", "refused")}
            answers.setdefault(entry["submission"], {}).update(said)
        return answers

    def plan(self, submission: Submission) -> Plan:
        """Return the plan that a submission follows."""
        if submission.plan not in self._plans:
            self._plans[submission.plan] = read_plan(self.run.root / "plans" / submission.plan)
        return self._plans[submission.plan]

    def intend(
        self, submission: Submission, here: str = "", now: float | None = None
    ) -> Submission:
        """Record what is about to be submitted, and return it under its name; call it locked.

        Args:
            submission: What is about to be submitted.
            here: Name of the cluster that this machine belongs to: if sbatch's answer is lost, the
                job is looked for where sbatch was to submit it, from whatever machine.
            now: The time by the controller's clock, in seconds since 1970; null means this one's.
        """
        names = [path.name for path in self.run.slurm.glob("[0-9]*-*")]
        names += [entry["submission"] for entry in self._entries()]  # their folders may be gone
        taken = [int(name.split("-")[0]) for name in names]
        plain = re.sub(r"[^A-Za-z0-9_.]+", "-", Path(submission.key).name)[:40]
        name = f"{max(taken, default=0) + 1:04d}-{submission.stage}-{plain}".rstrip("-")
        token = secrets.token_hex(5)
        at = round(time.time() if now is None else now)
        clusters = clusters_of(submission.asked, here)
        named = replace(
            submission, name=name, at=at, token=token, uid=os.getuid(), clusters=clusters
        )
        folder = self.run.submission(name)
        store.make_dir(folder / "logs")
        raw = {each.name: getattr(named, each.name) for each in fields(named)}
        for answered in ("job", "cluster", "refused"):
            del raw[answered]
        store.write_bytes(json.dumps(raw).encode(), folder / "submission.json")
        return named

    def taken(self, submission: Submission, job: str, cluster: str) -> Submission:
        """Record that Slurm took a submission, and return it with its job."""
        self._append(submission, job=job, cluster=cluster)
        return replace(submission, job=job, cluster=cluster)

    def refused(self, submission: Submission, why: str) -> Submission:
        """Record that Slurm did not take a submission, and return it with what Slurm said."""
        self._append(submission, refused=why)
        return replace(submission, refused=why)

    def _append(self, submission: Submission, **what: str) -> None:
        entry = {"submission": submission.name, "at": round(time.time()), **what}
        store.append_json_line(entry, self.run.jobs, flush=True)
