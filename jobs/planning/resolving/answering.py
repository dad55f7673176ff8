"""How the model of a condition answers, as its files say: found once, and kept in the run."""

from dataclasses import asdict

from empathy_core import weights
from empathy_core.backends.generation_settings import CheckpointSettings, find
from empathy_core.prompts.tokenizers import tokenizer_of
from empathy_core.store import RunDir, read_json
from empathy_core.types import GENERATION_VERSION, Condition, digest
from jobs.planning.withheld import WithheldWrites


def planned(
    condition: Condition, run: RunDir, withheld: WithheldWrites
) -> tuple[Condition, tuple[str, ...]]:
    """Return *condition* with what its model's files say, and what tables must say of it.

    Args:
        condition: Not yet rendered.
        run: Where it is kept what was found.
        withheld: Takes what is to be kept.

    Raises:
        ModelError: The end of an answer, or the token that begins one, cannot be told.
    """
    if condition.model.backend != "hf":
        return condition, ()
    parts = [
        condition.fingerprint, condition.model.identity(), condition.chat,
        condition.decoding.stop, condition.model.tokenizer, GENERATION_VERSION,
    ]  # fmt: skip
    known = run.rendering(f"answering-{digest(parts, 16)}")
    if known.exists():
        settings = _read(read_json(known))
    else:
        folder = weights.locate(str(condition.model.weights), condition.model.revision)
        settings = find(condition, folder, tokenizer_of(condition.model))
        withheld.json(asdict(settings), known)
    return settings.applied(condition), settings.notes(condition.model.label)


def _read(kept: dict[str, object]) -> CheckpointSettings:
    """Return what ``asdict`` made lists of."""
    structure, reasoning, own = kept["structure"], kept["reasoning"], kept.get("overridden")
    return CheckpointSettings(
        structure=tuple((str(name), str(value)) for name, value in structure),  # type: ignore[attr-defined]  # as written above
        reasoning=tuple(reasoning) if reasoning else None,  # type: ignore[arg-type]  # as above
        alone=bool(kept["alone"]),
        turn_added=str(kept["turn_added"]),
        overridden=tuple(own) if own else None,  # type: ignore[arg-type]  # as above
    )
