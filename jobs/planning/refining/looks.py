"""How often refinements of a run looked at the test rows, and what else did."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from empathy_core import data, store
from empathy_core.errors import Damaged
from empathy_core.prompts.instructions import wording_digest
from empathy_core.store import EVALUATED, RefinementDir, RunDir, list_pieces
from empathy_core.types import Prompt
from jobs.planning.plan_file import last_plan
from jobs.planning.refining.configs import TEST
from jobs.planning.refining.settings import BegunRefinement
from reports.refined import RefinementOutcome, read_outcome
from reports.tables.refined import looks_note


@dataclass(frozen=True)
class LookAtTest:
    """One look at the test rows.

    Attributes:
        refinement: Name of its table.
        prompts: Digests of the wordings that were tested.
        test: Digest of the rows.
        seen: Names of prompts of these under which the run had answered test rows before.
    """

    refinement: str
    prompts: tuple[str, ...]
    test: str
    seen: tuple[str, ...] = field(default=(), compare=False)


def looks(run: RunDir) -> list[LookAtTest]:
    """Return every look at test rows that refinements of a run took, the oldest first.

    Raises:
        Damaged: The file is not what was written.
    """
    if not run.test_looks.exists():
        return []
    try:
        lines = store.json_lines(run.test_looks.read_text(encoding="utf-8"))
        found = [_look(json.loads(line)) for line in lines]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = (
            f"{run.test_looks} cannot be read ({error}): expected a line of JSON for each look at "
            "the test rows, which every note counts; remove what does not belong there, or restore "
            "it from a copy"
        )
        raise Damaged(msg) from error
    return list(dict.fromkeys(found))


def _look(line: dict[str, Any]) -> LookAtTest:
    seen = tuple(line.get("seen", ()))
    return LookAtTest(line["refinement"], tuple(line["prompts"]), line["test"], seen)


def counted_looks(run: RunDir) -> dict[str, int]:
    """Return digest of test rows → how many looks refinements of the run took at them."""
    return dict(Counter(look.test for look in looks(run)))


def take(run: RunDir, begun: BegunRefinement, prompts: Sequence[Prompt]) -> LookAtTest:
    """Record a look before it is taken, and return it; taken again, it is the same look."""
    mine = LookAtTest(begun.name, tuple(sorted(map(wording_digest, prompts))), begun.test)
    with run.lock():
        before = looks(run)
        if mine in before:
            return before[before.index(mine)]
        found = replace(mine, seen=answered_before(run, begun.table.model, prompts))
        lines = (json.dumps(asdict(look)) + "\n" for look in (*before, found))
        store.write_bytes("".join(lines).encode(), run.test_looks)
    return found


def answered_before(run: RunDir, model: str, prompts: Sequence[Prompt]) -> tuple[str, ...]:
    """Return the names of prompts under which the run had answers to test rows before.

    Whoever saw them may have chosen candidates by them: then the test is none.
    """
    if not run.plans() or not run.data.exists():
        return ()
    plan, _ = last_plan(run)
    rows = data.load(run).filter(EVALUATED)
    if "test" not in rows["split"].to_list():
        return ()
    known = {
        wording_digest(c.prompt)
        for c in plan.conditions
        if c.model.name == model and list_pieces(run.generations(c.id))
    }
    return tuple(p.name for p in prompts if wording_digest(p) in known)


def outcomes(run: RunDir) -> tuple[RefinementOutcome, ...]:
    """Return what came of the refinements of a run, by name; of those that ended."""
    folders = (RefinementDir(path) for path in sorted(run.refinements.glob("*")))
    return tuple(read_outcome(f.outcome) for f in folders if f.outcome.exists())


def notes_of_step(run: RunDir) -> tuple[str, ...]:
    """Return what tables of the test of a refinement must say; nothing for any other run."""
    folder = run.root.parent
    whole = RunDir(folder.parent.parent)
    if run.root.name != TEST or folder.parent != whole.refinements:
        return ()
    test = {look.test for look in looks(whole) if look.refinement == folder.name}
    return (looks_note(max((counted_looks(whole)[rows] for rows in test), default=0)),)
