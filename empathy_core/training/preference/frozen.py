"""Pairs as a run keeps them: frozen when it is planned, under their digest, with their audit."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import polars as pl

from empathy_core.errors import Damaged, DataError
from empathy_core.store import RunDir, frame_bytes, read_json, write_bytes, write_json
from empathy_core.training.preference import pairs
from empathy_core.training.preference.candidates import FoundPairs
from empathy_core.training.preference.pairs import PreferencePairs, audit_text
from empathy_core.training.preference.peoples_view import view_text
from empathy_core.training.preference.settings import PairSettings

ASSUMED = (
    "That the therapists' answers are better than the model's is assumed: no person compared them, "
    "and in public ratings therapists' answers are often rated below models'."
)
ASSUMED_AND_RATED = (
    "That the therapists' answers are better than the model's is assumed; people rated some of "
    "these pairs."
)


def make(
    name: str, settings: PairSettings, found: FoundPairs, examples: pl.DataFrame
) -> PreferencePairs:
    """Return the pairs of ``[pairs.<name>]``, with their whole provenance in the audit.

    Args:
        name: Of the table.
        settings: What it says.
        found: The candidates.
        examples: The run's rows.

    Raises:
        DataError: No pair is left to train on.
    """
    kept = pairs.select(found, settings, examples)
    if not kept.audit["splits"].get("train"):
        msg = (
            f"pairs.{name}: no pair is left to train on; expected some\n"
            f"{audit_text(name, kept.audit)}\n"
            f"correct what the reasons name: {_remedies(settings)}"
        )
        raise DataError(msg)
    views = kept.audit["people"]
    assumed = ASSUMED_AND_RATED if views else ASSUMED
    own = [of for of in views if of["dimension"] == found.dimension]
    audit = {
        **kept.audit,
        "origin": dict(found.origin),
        "settings": asdict(settings),
        "assumed": assumed if settings.made_from == "therapist" else "",
        "notes": [
            *found.notes,
            *found.warnings,
            *map(view_text, own or views),
            *_stopped(kept.audit),
        ],
        "warnings": list(found.warnings),
    }
    return PreferencePairs(kept.frame, audit)


def _stopped(audit: Mapping[str, Any]) -> list[str]:
    """Return what tables say where many replies stop in the middle."""
    said, *_ = pairs.cut_text(audit).split(":")
    return [f"Of them, {said}."] if said else []


def _remedies(settings: PairSettings) -> str:
    """Return which settings decide how many pairs are left."""
    always = "licence, training_licences, the length ratio"
    if settings.made_from == "scores":
        return f"margin, column, conditions, {always}; or questions that this run does not evaluate"
    return f"columns, {always}"


def freeze(name: str, made: PreferencePairs, run: RunDir) -> None:
    """Write pairs and audit into the run; the same pairs are written once."""
    path = run.pairs(name, made.digest)
    if not path.is_file():
        write_bytes(frame_bytes(made.frame), path)
    write_json(made.audit, path.with_suffix(".json"))


def made_anew(name: str, digest: str, audit: Mapping[str, Any], run: RunDir) -> bool:
    """Tell whether other pairs were frozen before by the same settings from what changed since.

    Args:
        name: Of the table.
        digest: Of these pairs.
        audit: Of these pairs.
        run: Where pairs are frozen.
    """
    own = run.pairs(name, digest).with_suffix(".json")
    others = (read_json(path) for path in sorted(own.parent.glob(f"{name}-*.json")) if path != own)
    asked, origin = json.loads(json.dumps(audit["settings"])), audit["origin"]
    return any(
        other["settings"] == asked and other["origin"] != origin and "scores" in origin
        for other in others
    )


def load(name: str, digest: str, run: RunDir) -> pl.DataFrame:
    """Return the frozen pairs of that name and digest.

    Raises:
        Damaged: They are not there, or are others.
    """
    path = run.pairs(name, digest)
    try:
        frame = pl.read_parquet(path)
        whole = PreferencePairs(frame, {}).digest == digest
    except (OSError, pl.exceptions.PolarsError):
        whole = False
    if not whole:
        msg = (
            f"{path} is not there, or does not hold the pairs {digest} that were planned; expected "
            "them as sweep froze them; run the same command again, which freezes them anew"
        )
        raise Damaged(msg)
    return frame
