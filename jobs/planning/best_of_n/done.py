"""What is done of best of n: from which samples and scores each condition was chosen."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from empathy_core import store
from empathy_core.choice import SampleChoice
from empathy_core.errors import Damaged
from jobs.planning.plan import Plan
from jobs.planning.progress import RunProgress, made_from


def made_of(progress: RunProgress, choice: SampleChoice) -> dict[int, str]:
    """Return score unit → digest of the samples and scores that a choice is made of.

    Only units that every score of the choice was computed for, from today's answers.
    """
    answers = progress.inputs[choice.of]
    whole: dict[int, list[str]] = {unit: [digest] for unit, digest in answers.items()}
    for key in choice.scores:
        scored = progress.scored[key, choice.of]
        contents = _contents(scored.paths)
        current = {u for u in contents if scored.blocks.get(u) == answers.get(u, "none")}
        whole = {u: [*of, contents[u]] for u, of in whole.items() if u in current}
    return {u: hashlib.sha256(" ".join(of).encode()).hexdigest()[:16] for u, of in whole.items()}


def _contents(paths: Sequence[Path]) -> dict[int, str]:
    """Return score unit → digest of the scores of it themselves."""
    found: dict[int, str] = {}
    for path in paths:
        try:
            found |= store.verify_piece(path).blocks
        except Damaged:  # it is computed again
            continue
    return found


def is_chosen(plan: Plan, progress: RunProgress, condition: str) -> bool:
    """Tell whether every unit that can be chosen for was, from today's answers and scores."""
    choice = choice_of(plan, condition)
    wanted = made_of(progress, choice)
    done = made_from(progress.run.choice(condition).with_suffix(".json"))
    sound = bool(progress.generated[condition].paths) or not wanted
    return sound and all(done.get(unit) == digest for unit, digest in wanted.items())


def choice_of(plan: Plan, condition: str) -> SampleChoice:
    """Return how the answers of a condition are chosen.

    Raises:
        KeyError: They are not.
    """
    return {c.id: c.choice for c in plan.conditions if c.choice}[condition]
