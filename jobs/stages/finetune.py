"""The finetune stage: one adapter, from the run's rows to a folder that is complete or absent.

Rows are encoded and looked at, the base is tried on eight rows, then it is trained. An attempt
that ends anywhere leaves checkpoints; the next goes on from the newest.
"""

import logging
import os
import shutil
import socket
import time
from dataclasses import asdict, replace
from pathlib import Path

from empathy_core import store
from empathy_core.errors import Damaged, ModelError
from empathy_core.store import RunDir
from empathy_core.training.adapter import adapters
from empathy_core.training.adapter.held_out import held_out
from empathy_core.training.loop.checkpoints import copy_adapter
from empathy_core.training.loop.job import Interrupted, StepReport, Trained, TrainingJob
from empathy_core.training.preflight import run as preflight
from empathy_core.training.rows.prepare import PreparedTraining
from empathy_core.training.spec import TRAINING_VERSION, Finding, FinetuneSpec
from jobs.planning.pairs.planned import frozen_pairs, pairs_of_card
from jobs.planning.plan import Plan, PlannedFinetune, Task
from jobs.stages.protocol import Listener, Progress, Saved
from jobs.stages.training_job import Phase, phases, prepared_training, start_of, training_job

log = logging.getLogger(__name__)


LOG_EVERY_S = 10.0


def finetune(run: RunDir, plan: Plan, task: Task, listen: Listener) -> None:
    """Train one adapter of the plan, unless it is there.

    Raises:
        PreflightFailed: Something is wrong with rows or model, and it is not allowed.
        ModelError: The base cannot be used; a loss is not a number; it was planned by another
            version of the training code.
        StorageError: The checkpoints do not fit on the disk.
        Saved: The listener asked for an end; the next attempt goes on from a checkpoint.
    """
    planned = plan.finetune(task.key)
    final, work = run.adapter(planned.id), run.training(planned.id)
    if adapters.is_complete(final):
        return
    check_version(planned)
    prepared = prepared_training(run, planned)
    findings = _findings(planned, prepared, work)
    preflight.stop(findings, planned.spec.allow)
    attempt = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}"
    try:
        *before, last = phases(planned.spec)
        for phase in before if not start_of(run, planned).is_dir() else ():
            job = training_job(run, planned, prepared, attempt, phase)
            first = _train(run, plan, planned, (job, phase), _Watch(listen))
            _keep(first, job, run, planned)
        job = training_job(run, planned, prepared, attempt, last)
        trained = _train(run, plan, planned, (job, last), _Watch(listen))
    except Interrupted as saved:
        raise Saved(str(saved)) from saved
    origin = _origin(plan, planned, prepared, findings)
    told = pairs_of_card(planned, run)
    if found := held_out(trained, frozen_pairs(planned.spec, run)):
        told |= {"held_out": found}
    adapters.publish(trained, final, replace(origin, pairs=told))
    shutil.rmtree(work, ignore_errors=True)


def check_version(planned: PlannedFinetune) -> None:
    """Refuse to train by today's code what its record would ascribe to another version's."""
    version = planned.spec.training_version
    if version != TRAINING_VERSION:
        msg = (
            f"{planned.spec.name} was planned by version {version} of the training code, and this "
            f"is version {TRAINING_VERSION}, which makes another adapter of the same settings; "
            "expected one version; run the same command again, which plans it anew"
        )
        raise ModelError(msg)


def _keep(trained: Trained, job: TrainingJob, run: RunDir, planned: PlannedFinetune) -> None:
    """Keep the adapter that pairs are tuned from until the end.

    An attempt that goes on with the pairs then need not look at the answers again.
    """
    made = job.place / "kept"
    copy_adapter(trained.folder, made)
    store.replace_folder(made, start_of(run, planned))


def _train(
    run: RunDir,
    plan: Plan,
    planned: PlannedFinetune,
    of: tuple[TrainingJob, Phase],
    watch: "_Watch",
) -> Trained:
    from empathy_core.training.loop.trainer import train
    from jobs.stages.distributed import n_processes, train_in_processes

    n = n_processes(planned.spec)
    if n > 1:
        return train_in_processes(run, plan, of, n, watch)
    return train(replace(of[0], stop_soon=watch.stop_soon, saved=watch.saved), watch)


class _Watch:
    """Hears of every step: tells the listener, writes the log, knows whether to stop."""

    def __init__(self, listen: Listener) -> None:
        self._listen, self._step, self._told = listen, 0, 0.0
        self._stop = False

    def __call__(self, report: StepReport) -> None:
        advanced, self._step = report.step - self._step, report.step
        self._tell(Progress(advanced, report.n_tokens, kept=False))
        now = time.monotonic()
        if now - self._told >= LOG_EVERY_S or report.step == report.n_steps:
            self._told = now
            log.info(
                "step %d of %d: loss %.4f, %.0f tokens/s, %.0f MB, %s left",
                report.step,
                report.n_steps,
                report.loss,
                report.tokens_per_s,
                report.memory_mb,
                time.strftime("%H:%M:%S", time.gmtime(report.eta_s)),
            )

    def saved(self, step: int) -> None:  # noqa: ARG002  any checkpoint will do
        """Hear that the checkpoint of a step is complete."""
        self._tell(Progress(0))

    def _tell(self, progress: Progress) -> None:
        self._stop |= bool(self._listen(progress))

    def stop_soon(self) -> bool:
        """Tell whether the listener asked for an end."""
        return self._stop


# ---------------------------------------------------------------------------- preflight


def _findings(
    planned: PlannedFinetune, prepared: PreparedTraining, work: Path
) -> tuple[Finding, ...]:
    """Return what the preflight found, of this attempt or an earlier one."""
    path = work / "preflight.json"
    try:
        known = store.read_json(path)
        if known["digest"] == planned.digest:
            return tuple(Finding(**one) for one in known["findings"])
    except (Damaged, KeyError, TypeError):
        pass
    preflight.stop(prepared.findings, planned.spec.allow)  # before the weights are loaded
    found = (*prepared.findings, *model_findings(planned.spec, prepared))
    log.info("preflight:\n%s", preflight.text(found))
    store.write_json({"digest": planned.digest, "findings": [asdict(f) for f in found]}, path)
    return found


def model_findings(spec: FinetuneSpec, prepared: PreparedTraining) -> list[Finding]:
    """Load the base, try it on a few rows, and return what was found.

    Raises:
        ModelError: The weights cannot be loaded.
    """
    from empathy_core.backends.loading import load_model
    from empathy_core.training.preflight.model import WITHOUT_SENSE, check_model
    from empathy_core.training.preflight.pair_model import PAIR_MODEL_NAMES, check_pair_model

    model = load_model(spec.base, prepared.folder)
    found = check_model(
        model, prepared.tokenizer, spec, prepared.train, prepared.stops, prepared.pad
    )
    if prepared.pairs is None:
        return found
    rows, pad = prepared.pairs.train, prepared.pad
    broken = next((f.name for f in found if not f.ok and f.name in WITHOUT_SENSE), None)
    if broken is not None:
        skipped = f"not checked, since {broken} failed"
        return [*found, *(Finding(name, ok=True, evidence=skipped) for name in PAIR_MODEL_NAMES)]
    return [*found, *check_pair_model(model, spec.on_pairs(), rows, pad)]


# ---------------------------------------------------------------------------- the record


def _origin(
    plan: Plan, planned: PlannedFinetune, prepared: PreparedTraining, findings: tuple[Finding, ...]
) -> adapters.Origin:
    """Return what was known before the training."""
    table, answers = plan.config["data"], planned.spec.learns_answers
    shares = "/".join(f"{100 * share:g}" for share in table["fractions"])
    return adapters.Origin(
        digest=planned.digest,
        spec=planned.spec,
        base_fingerprint=planned.base_fingerprint,
        data_digest=plan.data_digest,
        split=f"by {table['protocol']}, seed {table['seed']}, {shares}",
        datasets=(planned.spec.sources or tuple(table["sources"])) if answers else (),
        train=adapters.counts(prepared.train),
        validation=adapters.counts(prepared.validation),
        findings=findings,
        provenance=plan.provenance,
    )
