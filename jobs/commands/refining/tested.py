"""The test of what was chosen: once, on the locked rows, beside the parent; and what came of it."""

from collections import Counter
from collections.abc import Iterator, Sequence

from empathy_core import prompts, store
from empathy_core.counted import counted
from empathy_core.errors import RunMismatch
from empathy_core.prompts.instructions import as_toml
from empathy_core.refining.candidates import PromptCandidate
from empathy_core.store import RunDir
from empathy_core.types import digest
from jobs.commands.refining.rounds import Ranked
from jobs.commands.refining.steps import StepRunner
from jobs.config.refinements import remarks, target_of
from jobs.config.schema import Config
from jobs.planning.refining.configs import TEST, config_of_test
from jobs.planning.refining.looks import take
from jobs.planning.refining.settings import BegunRefinement
from reports.numbers.refined import PromptRows, RowsOfRun, corrected, moved
from reports.refined import PromptGain, PromptOnTest, RefinementOutcome, write_outcome
from reports.write import write_report


def outcome(
    config: Config,
    begun: BegunRefinement,
    run: RunDir,
    made: Sequence[PromptCandidate],
    ranked: Ranked,
    runner: StepRunner,
) -> RefinementOutcome:
    """Test the best candidates, as the table says, and write what came of it.

    Raises:
        StepPending: The test failed, or is on Slurm.
        RunMismatch: The test rows are not those that were locked.
    """
    target, parent = target_of(config, begun.table), begun.parent.name
    advantages = {n: ranked.rows.advantage(parent, n, target.better) or 0 for n in ranked.best}
    always = begun.table.test_when == "always"
    reached = [n for n in ranked.best if always or advantages[n] > 0][: begun.table.tested]
    gains = {n: ranked.rows.gain(parent, n, target.better) for n in {ranked.best[0], *reached}}
    seen: tuple[str, ...] = ()
    part = None
    chosen = ranked.best[0] if advantages[ranked.best[0]] > 0 else ""
    if chosen:
        words = prompts.read(begun.folder.prompt(chosen))
        store.write_bytes(as_toml(words).encode(), begun.folder.chosen)
    if reached:
        wordings = [prompts.read(begun.folder.prompt(name)) for name in reached]
        seen = take(run, begun, wordings).seen
        part = _test(config, begun, reached, runner)
    found = RefinementOutcome(
        name=begun.name,
        model=config.model_spec(begun.table.model).label,
        parent=parent,
        target=ranked.rows.column,
        better=target.better,
        n_candidates=sum(not one.dropped for one in made),
        dropped=dict(Counter(one.dropped for one in made if one.dropped)),
        n_rounds=len(begun.rows.rounds),
        n_validation=len(ranked.rows.questions),
        n_test=begun.n_test,
        chosen=chosen,
        best=gains[ranked.best[0]],
        tested=_tested(config, begun, part, gains, reached) if part else (),
        test=begun.test,
        seen=seen,
        remarks=tuple(_remarks(config, begun)),
    )
    write_outcome(found, begun.folder.outcome)
    return found


def _test(
    config: Config, begun: BegunRefinement, better: Sequence[str], runner: StepRunner
) -> RowsOfRun:
    paths = [begun.folder.prompt(name) for name in (begun.parent.name, *better)]
    step = begun.folder.step(TEST)
    part = runner.rows(config_of_test(config, begun.table, paths), step)
    if digest(sorted(part.collected.examples["id"])) != begun.test:
        msg = (
            "the test rows are not those that were locked when the refinement began: expected "
            "evaluate.limit, unit and seed as then; set the old values, or begin a refinement of "
            "another name"
        )
        raise RunMismatch(msg)
    write_report(step, part.spec)  # with its page: crisis safety, judges, examples
    return part


def _tested(
    config: Config,
    begun: BegunRefinement,
    part: RowsOfRun,
    gains: dict[str, PromptGain],
    better: Sequence[str],
) -> tuple[PromptOnTest, ...]:
    target, parent = target_of(config, begun.table), begun.parent.name
    rows = PromptRows.of([part], [parent, *better], target.name)
    tests = [rows.gain(parent, name, target.better) for name in better]
    found = []
    for name, test, p in zip(better, tests, corrected(tests), strict=True):
        columns = moved(part, parent, name)
        by = begun.table.report_by
        found.append(
            PromptOnTest(
                name=name,
                validation=gains[name],
                test=test,
                optimism=_less(gains[name].value, test.value),
                p_holm=p,
                moved=tuple(columns.values()),
                reported=columns[part.column(by)] if by else None,
            )
        )
    return tuple(found)


def _less(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second


def _remarks(config: Config, begun: BegunRefinement) -> Iterator[str]:
    """Yield what weakens the outcome."""
    yield from remarks(config, begun.table)
    if config.data.protocol == "row":
        yield (
            "rows are split one by one, so that a question may stand on two sides: validation "
            "questions of the test split were left out"
        )
    if (n := len(begun.rows.proposing)) and begun.folder.worst.exists():
        yield f"candidates were made from {counted(n, 'question')} that no round scores on"
