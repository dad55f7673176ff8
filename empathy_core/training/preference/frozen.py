"""Pairs as a run keeps them: frozen when it is planned, under their digest, with their audit."""

from collections.abc import Mapping
from dataclasses import asdict

import polars as pl

from empathy_core.errors import Damaged, DataError
from empathy_core.store import RunDir, frame_bytes, write_bytes, write_json
from empathy_core.training.preference import candidates, pairs
from empathy_core.training.preference.pairs import PreferencePairs, audit_text
from empathy_core.training.preference.settings import PairSettings

ASSUMED = (
    "That the therapists' answers are better than the model's is assumed: no person compared them, "
    "and in public ratings therapists' answers are often rated below models'."
)


def make(
    name: str, settings: PairSettings, examples: pl.DataFrame, licences: Mapping[str, str]
) -> PreferencePairs:
    """Return the pairs of ``[pairs.<name>]``, with their whole provenance in the audit.

    Args:
        name: Of the table.
        settings: What it says.
        examples: The run's rows.
        licences: Source of the run → its licence as stated.

    Raises:
        ConfigError: The settings contradict each other.
        DataError: The file is missing or unreadable, or no pair is left to train on.
    """
    found = candidates.find(name, settings, examples, licences)
    kept = pairs.select(found.candidates, settings, examples)
    if not kept.audit["splits"].get("train"):
        msg = (
            f"pairs.{name}: no pair is left to train on; expected some\n"
            f"{audit_text(name, kept.audit)}\n"
            "correct what the reasons name: columns, licence, training_licences, the length ratio"
        )
        raise DataError(msg)
    assumed = ASSUMED if settings.made_from == "therapist" else ""
    audit = {
        **kept.audit,
        "origin": dict(found.origin),
        "settings": asdict(settings),
        "assumed": assumed,
    }
    return PreferencePairs(kept.frame, audit)


def freeze(name: str, made: PreferencePairs, run: RunDir) -> None:
    """Write pairs and audit into the run; the same pairs are written once."""
    path = run.pairs(name, made.digest)
    if not path.is_file():
        write_bytes(frame_bytes(made.frame), path)
    write_json(made.audit, path.with_suffix(".json"))


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
