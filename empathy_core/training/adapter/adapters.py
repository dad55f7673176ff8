"""The finished adapter: a folder that is complete, or absent.

adapter_config.json adapter_model.safetensors   peft's own
finetune.json      what the adapter is: ``AdapterRecord``; also what its base is checked by
preflight.json     what was found before the training, with the evidence (may quote a row)
log.jsonl          the curve, a ``job.Point`` a line
samples.jsonl      answers to validation questions on the way, if any were asked
README.md          the model card; holds no text of a row
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from empathy_core.errors import Damaged, ModelError
from empathy_core.store import json_lines, read_json, whole_folder, write_bytes, write_json
from empathy_core.training.adapter import card
from empathy_core.training.adapter.record import AdapterRecord, RowCounts
from empathy_core.training.loop.job import Losses, Trained
from empathy_core.training.spec import IGNORED, Finding, FinetuneSpec, TrainingRow
from empathy_core.weights import RECORD
from empathy_core.weights.digests import file_digest

__all__ = [
    "RECORD",
    "AdapterRecord",
    "Origin",
    "RowCounts",
    "counts",
    "curve",
    "digest_of",
    "is_complete",
    "publish",
    "read",
    "summary",
]

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
LOG, SAMPLES, PREFLIGHT, CARD = "log.jsonl", "samples.jsonl", "preflight.json", "README.md"


def counts(rows: Sequence[TrainingRow]) -> RowCounts:
    """Return how much *rows* hold; an answer that stands apart from its prompt counts too."""
    trained = [sum(label != IGNORED for label in row.labels) for row in rows]
    apart = [
        n if row.n_prompt == len(row.input_ids) else 0 for n, row in zip(trained, rows, strict=True)
    ]
    return RowCounts(
        rows=len(rows),
        tokens=sum(len(row.input_ids) for row in rows) + sum(apart),
        labels=sum(trained),
        prompts_cut=sum(row.prompt_cut for row in rows),
        responses_cut=sum(row.response_cut for row in rows),
    )


@dataclass(frozen=True, slots=True)
class Origin:
    """What was known before the training.

    Attributes:
        digest: ``FinetuneSpec.digest``: settings, base and rows, 64 hex digits.
        base_fingerprint: ``weights.fingerprint`` of the base.
        data_digest: Of the run's frozen rows.
        split: In words, e.g. ``by question, seed 0, 80/10/10``.
        datasets: Names or Hub ids of the sources that are trained on.
        findings: The whole preflight.
        provenance: Commit and package versions, by name.
        pairs: Of preference pairs: ``found``, ``kept``, ``notes``, sentences, ``cues`` as the audit
            has them, and ``held_out``, where there are such pairs; else empty.
    """

    digest: str
    spec: FinetuneSpec
    base_fingerprint: str
    data_digest: str
    split: str
    datasets: tuple[str, ...]
    train: RowCounts
    validation: RowCounts
    findings: tuple[Finding, ...]
    provenance: Mapping[str, str]
    pairs: Mapping[str, Any] = field(default_factory=dict)


# ---------------------------------------------------------------------------- writing


def publish(trained: Trained, final: Path, origin: Origin) -> Path:
    """Make the finished folder, and return it.

    It is put together beside what was trained and appears by one rename. If another copy of the
    same element was first, its folder stays and this one is dropped.

    Raises:
        StorageError: The disk is full or the folder is not writable.
    """
    if is_complete(final):
        return final
    with whole_folder(final, is_whole=is_complete) as made:
        _assemble(trained, made, origin)
    return final


def _assemble(trained: Trained, made: Path, origin: Origin) -> None:
    copies = {name: trained.folder / name for name in (WEIGHTS, SETTINGS)} | {LOG: trained.log}
    if trained.samples is not None:
        copies[SAMPLES] = trained.samples
    for name, source in copies.items():
        write_bytes(source.read_bytes(), made / name)
    found = [asdict(finding) for finding in origin.findings]
    write_json({"digest": origin.digest, "findings": found}, made / PREFLIGHT)
    sha256 = file_digest(made / WEIGHTS)
    text = card.card(_record(trained, origin, sha256, _sizes(made)))
    write_bytes(text.encode(), made / CARD)
    write_json(asdict(_record(trained, origin, sha256, _sizes(made))), made / RECORD)


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir())}


def _record(
    trained: Trained, origin: Origin, sha256: str, files: Mapping[str, int]
) -> AdapterRecord:
    spec = origin.spec
    settings = asdict(spec) | {"lora": asdict(spec.lora) | {"modules": list(spec.modules)}}
    base = settings.pop("base")
    return AdapterRecord(
        digest=origin.digest,
        name=spec.name,
        label=spec.label,
        base={**base, "fingerprint": origin.base_fingerprint},
        data={
            "digest": origin.data_digest,
            "split": origin.split,
            "datasets": list(origin.datasets),
        },
        train=origin.train,
        validation=origin.validation,
        settings=settings,
        findings={f.name: "passed" if f.ok else "allowed" for f in origin.findings},
        losses=trained.losses,
        best_step=trained.best_step,
        n_steps=trained.n_steps,
        n_tokens=trained.n_tokens,
        seconds=trained.seconds,
        n_trainable=trained.n_trainable,
        n_weights=trained.n_weights,
        chosen=trained.chosen,
        provenance=dict(origin.provenance),
        adapter_sha256=sha256,
        files=files,
        pairs=dict(origin.pairs),
    )


# ---------------------------------------------------------------------------- reading


def is_complete(folder: Path) -> bool:
    """Tell whether every file of the adapter is there in its size; contents are not read."""
    try:
        files = read_json(folder / RECORD)["files"]
        return {WEIGHTS, SETTINGS, LOG, PREFLIGHT, CARD} <= set(files) and all(
            (folder / name).stat().st_size == size for name, size in files.items()
        )
    except (Damaged, OSError, KeyError, TypeError):
        return False


def read(folder: Path) -> AdapterRecord:
    """Return what the adapter in *folder* is.

    Raises:
        ModelError: This suite made no such folder.
        Damaged: A file is missing, or the weights are not those that were trained.
    """
    if not (folder / RECORD).is_file():
        msg = (
            f"{folder} has no {RECORD}; expected an adapter that this suite trained; correct the "
            "path, or train it with 'finetune'"
        )
        raise ModelError(msg)
    if not is_complete(folder):
        msg = (
            f"the adapter {folder} is not complete; expected every file that its {RECORD} lists, "
            "in its size; copy the folder again, or delete it and run the same command again"
        )
        raise Damaged(msg)
    try:
        record = _parsed(read_json(folder / RECORD))
    except (KeyError, TypeError) as error:
        msg = (
            f"{folder / RECORD} is not what 'finetune' writes ({error}); expected the record of "
            "this version of the suite; delete the folder and run the same command again"
        )
        raise Damaged(msg) from error
    found = file_digest(folder / WEIGHTS)
    if found != record.adapter_sha256:
        msg = (
            f"{folder / WEIGHTS} is not what was trained (SHA-256 {found[:12]}, expected "
            f"{record.adapter_sha256[:12]}); copy the folder again, or delete it and run the same "
            "command again"
        )
        raise Damaged(msg)
    return record


def _parsed(value: Mapping[str, Any]) -> AdapterRecord:
    parts = {
        "train": RowCounts(**value["train"]),
        "validation": RowCounts(**value["validation"]),
        "losses": Losses(**value["losses"]),
    }
    return AdapterRecord(**{**value, **parts})


def digest_of(folder: Path) -> str:
    """Return the SHA-256 of a complete adapter's weights, as its record has it.

    Raises:
        Damaged: There is no record.
    """
    return str(read_json(folder / RECORD)["adapter_sha256"])


def curve(folder: Path) -> list[dict[str, Any]]:
    """Return what reports show of each point of the curve; none if absent."""
    if not is_complete(folder):
        return []
    names = ("step", "epoch", "loss", "validation_loss", "sample_tokens")
    points = map(json.loads, json_lines((folder / LOG).read_text(encoding="utf-8")))
    return [{name: point.get(name) for name in names} for point in points]


def summary(record: Mapping[str, Any]) -> str:
    """Return one line on how a training went, from the value in ``finetune.json``."""
    losses, train = record["losses"], record["train"]
    said = [f"{train['rows']:,} rows, {record['n_steps']:,} steps, {record['seconds']:.0f} s"]
    if losses["validation_best"] is not None:
        start, best = losses["validation_start"], losses["validation_best"]
        before = f"{start:.4f} → " if start is not None else ""
        said.append(f"validation loss {before}{best:.4f} at step {record['best_step']}")
    else:
        said.append(f"loss {losses['first']:.4f} → {losses['last']:.4f}, last step taken")
    allowed = [name for name, result in record["findings"].items() if result == "allowed"]
    return "; ".join([*said, f"allowed: {', '.join(allowed)}"] if allowed else said)
