"""A cluster as its users know it: partition, account, limits, set-up lines.

A profile is a TOML file under ``profiles/`` (or anywhere); the same keys may stand in a
configuration's ``[slurm]`` table, which goes over the profile's. What a stage needs otherwise
stands in ``[finetune]``, ``[generate]``, ``[score]`` and ``[report]``.
"""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

OURS = {
    "array": "the suite divides the work into shards; 'parallel' throttles them",
    "chdir": "jobs run in the code that was submitted",
    "dependency": "the suite sets what each stage waits for",
    "error": "logs are written to the run directory",
    "export": "use 'env' and 'pass_env'",
    "export-file": "use 'env' and 'pass_env'",
    "input": "array tasks read no input",
    "job-name": "names are made of run, stage and model",
    "comment": "it says which array job of the run a job is",
    "output": "logs are written to the run directory",
    "open-mode": "attempts are appended to one log",
    "parsable": "the suite reads sbatch's answer",
    "signal": "use 'signal_delay_s'",
    "test-only": "use sweep --test-only",
    "wait": "the launcher returns; see status",
    "wrap": "the suite writes the script",
    "requeue": "use 'requeue'",
    "no-requeue": "use 'requeue'",
    "kill-on-invalid-dep": "it is always set",
    "partition": "use 'partition'",
    "account": "use 'account'",
    "qos": "use 'qos'",
    "constraint": "use 'constraint'",
    "gres": "use 'gres'",
    "gpus-per-node": "use 'gpus'",
    "time": "use 'time_min'",
    "mem": "use 'mem_gb'",
    "cpus-per-task": "use 'cpus'",
    "exclude": "use 'exclude'",
    "nodelist": "use 'nodelist'",
    "reservation": "use 'reservation'",
    "mail-user": "use 'mail_user'",
    "mail-type": "use 'mail_type'",
    "nodes": "an array task is one process on one node",
    "ntasks": "an array task is one process on one node",
    "ntasks-per-node": "an array task is one process on one node",
}
"""Options that the suite sets, and what to use instead."""

PASSED = (
    "acctg-freq", "batch", "bb", "bbf", "begin", "clusters", "cluster-constraint",
    "consolidate-segments",
    "container", "container-id", "contiguous", "core-spec", "cores-per-socket", "cpu-freq",
    "cpus-per-gpu", "deadline", "delay-boot", "distribution", "exclusive", "extra",
    "extra-node-info", "get-user-env", "gid", "gpu-bind", "gpu-freq", "gpus", "gpus-per-socket",
    "gpus-per-task", "gres-flags", "hint", "hold", "ignore-pbs", "licenses",
    "mcs-label", "mem-bind", "mem-per-cpu", "mem-per-gpu", "mincpus", "network", "nice",
    "no-kill", "ntasks-per-core", "ntasks-per-gpu", "ntasks-per-socket", "oom-kill-step",
    "overcommit", "oversubscribe", "power", "prefer", "priority", "profile", "propagate", "quiet",
    "reboot", "resv-ports", "segment", "sockets-per-node", "spread-job", "stepmgr", "switches",
    "thread-spec", "threads-per-core", "time-min", "tmp", "tres-bind", "tres-per-task", "uid",
    "use-min-nodes", "verbose", "wait-all-nodes", "wckey", "x11",
    # pyxis, the container plug-in
    "container-image", "container-mounts", "container-name", "container-workdir",
    "container-mount-home", "container-writable", "container-env",
)  # fmt: skip
"""Options that are passed through as they are."""


PROFILES = Path(__file__).parent / "profiles"
SECRET = re.compile(r"TOKEN(?!IZER)|SECRET|PASSW|API_?KEY|CREDENTIAL", re.IGNORECASE)
"""Names of variables that must not stand in scripts, which others can read (``scontrol``)."""

Positive = Annotated[int, Field(ge=1)]
StageResources = Literal["finetune", "generate", "score", "report"]
"""Tables of a profile that give some kinds of jobs their own resources."""


class ProfileModel(BaseModel):
    """A table of the file: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Resources(ProfileModel):
    """What one array task is given.

    Attributes:
        gpus: Per array task; ``gres`` is for sites whose Slurm has no ``--gpus-per-node``.
        time_min: Time limit of one array task, in minutes.
        mem_gb: Memory of one array task, in GB of 1024 MB; 0 means all that a node has.
        parallel: Array tasks of one array that may run at once; null means 256.
        options: Any other option of sbatch, without the dashes; ``true`` for one without value.
        partition: ``--partition``.
        account: ``--account``.
        qos: ``--qos``.
        constraint: ``--constraint``: features that a node must have.
        gres: ``--gres``, such as ``gpu:a100:1``.
        cpus: Cores of one array task.
        exclude: ``--exclude``: nodes to keep away from.
        nodelist: ``--nodelist``: nodes to use.
        reservation: ``--reservation``.
        mail_user: ``--mail-user``.
        mail_type: ``--mail-type``.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gres: str | None = None
    gpus: Annotated[int, Field(ge=0)] | None = None
    time_min: Positive | None = None
    mem_gb: Annotated[float, Field(ge=0)] | None = None
    cpus: Positive | None = None
    exclude: str | None = None
    nodelist: str | None = None
    reservation: str | None = None
    mail_user: str | None = None
    mail_type: str | None = None
    parallel: Positive | None = None
    options: dict[str, str | int | bool] = {}

    @field_validator("options")
    @classmethod
    def _known(cls, options: dict[str, str | int | bool]) -> dict[str, str | int | bool]:
        """Refuse what sbatch does not know, with the closest match; names get dashes."""
        options = {name.replace("_", "-"): value for name, value in options.items()}
        for name in options:
            plain = name
            if plain in OURS:
                msg = f"'{name}' is set by the suite: {OURS[plain]}"
                raise ValueError(msg)
            if plain not in PASSED:
                close = get_close_matches(plain, [*PASSED, *OURS], n=1)
                guess = f"; did you mean '{close[0]}'?" if close else "; see man sbatch"
                msg = f"sbatch has no option '{name}'{guess}"
                raise ValueError(msg)
        return options

    @property
    def n_gpus(self) -> int:
        """GPUs of one array task, in whatever way they are asked for: a number, typed or not."""
        asked = [str(self.gpus or 0)]
        asked += [part for part in (self.gres or "").split(",") if part.startswith("gpu")]
        names = ("gpus", "gpus-per-task", "gpus-per-socket", "tres-per-task")
        asked += [str(self.options[name]) for name in names if name in self.options]
        return max(map(_last_number, asked))

    @model_validator(mode="after")
    def _one_way_to_ask_for_gpus(self) -> Self:
        if self.gpus and self.gres and "gpu" in self.gres:
            msg = "both gpus and a gres of GPUs are given; keep the one that your site documents"
            raise ValueError(msg)
        return self


def _last_number(gpus: str) -> int:
    """Return 2 of ``2``, ``gpu:2``, ``a100:2`` and ``gpu:a100:2(S:0)``, and 1 of ``gpu:a100``."""
    number = re.search(r"(?:^|[:=])(\d+)(?:\(|$)", gpus)
    return int(number[1]) if number else 1


class Container(ProfileModel):
    """Array tasks run inside this image.

    Attributes:
        runtime: ``apptainer`` starts Python through ``apptainer exec``; ``pyxis`` through
            ``srun --container-image``.
        image: Path of the image, or what the runtime calls it, e.g. ``docker://…``.
        mounts: Folders that the image must see besides run, code and caches.
        options: Further arguments of the runtime.
    """

    runtime: Literal["apptainer", "pyxis"]
    image: str
    mounts: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class Retry(ProfileModel):
    """Array tasks that stand by for what fails: submitted beforehand, each try with more.

    Attributes:
        times: How often what failed is tried again.
        mem_factor: Memory of each try, as a multiple of the one before.
        time_factor: Time limit of each try, as a multiple of the one before; never more than the
            partition allows.
        gpu_hours: GPU-hours, GPUs times time limit, that all tries of a run may take; they are
            reserved at submission. 0 means that only work without GPUs is tried again.
    """

    times: Annotated[int, Field(ge=1, le=9)] = 2
    mem_factor: Annotated[float, Field(ge=1)] = 1.5
    time_factor: Annotated[float, Field(ge=1)] = 1.5
    gpu_hours: Annotated[float, Field(ge=0)]


class Profile(Resources):
    """``[slurm]`` of a configuration, or a profile's file.

    Attributes:
        profile: Name or path of the profile that lies below these keys.
        requeue: Whether Slurm may run an array task again after preemption and node failure.
        signal_delay_s: How long before the time limit an array task is warned, in seconds.
        setup: Shell commands before Python starts (modules, environments); each must succeed.
        python: The Python of the nodes; null means the launcher's own.
        env: Variables of the array tasks. No secrets: scripts can be read by others.
        pass_env: Names of variables that are taken over from the launcher's environment.
        cache: Folder of the Hub's cache (HF_HOME), on a file system that the nodes share.
        scratch: Node-local folder for temporary files; may name variables, as ``$TMPDIR``.
        offline: Whether array tasks work without the network (HF_HUB_OFFLINE).
        stagger_s: Over how many seconds the array tasks of one array begin, so that they do not all
            read the same files at once; null means one second for each twenty, and at most 30.
        max_restarts: An array task that Slurm has run again so often without finishing a block or a
            checkpoint ends as failed.
        max_node_failures: A node that failed so many attempts of this run, and most of those that
            it took, while others succeed, is left out of what is submitted later; 0 means never.
        max_elements: Limit of array tasks in the queue at once, besides those that Slurm reports.
        container: The image that array tasks run in; null means none.
        retry: What is tried again by itself; null means nothing.
        notify: Told when the report has ended, well or not: a shell command, which reads JSON on
            its standard input, or an http(s) address, to which it is posted; null means nobody.
    """

    profile: str | None = None
    requeue: bool = True
    signal_delay_s: Positive = 90
    setup: tuple[str, ...] = ()
    python: str | None = None
    container: Container | None = None
    env: dict[str, str] = {}
    pass_env: tuple[str, ...] = ()
    cache: str | None = None
    scratch: str | None = None
    offline: bool = True
    stagger_s: Annotated[int, Field(ge=0)] | None = None
    max_restarts: Positive = 3
    max_node_failures: Annotated[int, Field(ge=0)] = 3
    max_elements: Positive | None = None
    retry: Retry | None = None
    notify: Annotated[str, Field(min_length=1)] | None = None
    finetune: Resources = Resources()
    generate: Resources = Resources()
    score: Resources = Resources()
    report: Resources = Resources()

    @field_validator("env")
    @classmethod
    def _no_secret(cls, env: dict[str, str]) -> dict[str, str]:
        for name in env:
            if not re.fullmatch(r"[A-Za-z_]\w*", name):
                msg = f"'{name}' is no name of a variable"
                raise ValueError(msg)
            if SECRET.search(name):
                msg = f"'{name}' looks like a secret, and scripts can be read by others: prefetch "
                raise ValueError(msg + "on a node with internet instead; array tasks need no token")
        return env

    @field_validator("python")
    @classmethod
    def _found_from_anywhere(cls, python: str | None) -> str | None:
        """Refuse a path that depends on the folder: array tasks start in the run's own."""
        if python and python.startswith("~"):  # it will stand in quotes, for its variables
            return str(Path(python).expanduser())
        if python and "/" in python and not python.startswith(("/", "$")):
            msg = f"array tasks start in another folder: expected a whole path, as /…/{python}"
            raise ValueError(msg)
        return python

    @field_validator("setup")
    @classmethod
    def _one_command_each(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        for line in lines:
            if "\n" in line.strip():
                msg = f"an entry is one command, since its exit code is checked, got {line!r}"
                raise ValueError(msg)
        return lines

    @field_validator("pass_env")
    @classmethod
    def _no_secrets(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        cls._no_secret(dict.fromkeys(names, ""))
        return names

    def of_stage(self, stage: StageResources, own: Resources | None = None) -> Resources:
        """Return what an array task of *stage* gets: the stage's keys over the common ones.

        Args:
            stage: Its table goes over the common keys.
            own: Goes over both, as a model's own resources do.
        """
        layers = [STANDARD[stage], self, getattr(self, stage), own or Resources()]
        given: dict[str, object] = {}
        options: dict[str, str | int | bool] = {}
        for layer in layers:
            found = {k: getattr(layer, k) for k in Resources.model_fields}
            options |= found.pop("options")
            if layer is self and stage == "report":  # common GPUs are not for the report
                found["gpus"] = None
                found["gres"] = None if "gpu" in (self.gres or "") else self.gres
            given |= {k: v for k, v in found.items() if v is not None}
            if layer is not STANDARD[stage]:  # the later way of asking for GPUs is the one
                if "gpu" in str(found["gres"]):
                    given.pop("gpus", None)
                elif found["gpus"] is not None and "gpu" in str(given.get("gres", "")):
                    given.pop("gres")
        return Resources(**given, options=options)  # type: ignore[arg-type]  # fields of its own


STANDARD: dict[str, Resources] = {
    "finetune": Resources(time_min=480, mem_gb=32.0, cpus=4),
    "generate": Resources(time_min=120, mem_gb=16.0, cpus=4),
    "score": Resources(time_min=60, mem_gb=8.0, cpus=4),
    "report": Resources(time_min=30, mem_gb=4.0, cpus=2, gpus=0),
}
"""What a stage gets where nobody says otherwise."""


def names() -> list[str]:
    """Return the names of the profiles that ship."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def find(name_or_path: str) -> Path | None:
    """Return the file of a profile, or null if there is none."""
    path = Path(name_or_path).expanduser()
    if path.suffix == ".toml" or path.is_file():
        return path if path.is_file() else None
    path = PROFILES / f"{name_or_path}.toml"
    return path if path.is_file() else None
