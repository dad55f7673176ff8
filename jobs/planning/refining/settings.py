"""What a refinement was begun with: frozen before anything is answered, and compared ever after."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core import data, metrics, prompts, store
from empathy_core.data import splitting
from empathy_core.errors import Damaged, DataError, EmpathyError, RunMismatch, first_line
from empathy_core.prompts.instructions import as_toml, wording_digest
from empathy_core.refining.rows import RefinementRows, draw_rows
from empathy_core.store import RefinementDir, RunDir, read_json, write_bytes, write_json
from empathy_core.types import Prompt, digest
from jobs.config.judges import metric_options
from jobs.config.refine import RefineTable
from jobs.config.refinements import target_of
from jobs.config.schema import Config, load_prompt
from jobs.planning.refining.configs import WORST, round_name
from jobs.planning.resolving.run_rows import examples_of

LATER = ("candidates", "candidates_file", "proposer", "proposals", "proposer_decoding", "shown",
         "report_by", "tested", "test_when")  # fmt: skip
"""Settings that may still change when rows are drawn: who writes candidates may look at the worst
replies first. Those of candidates are frozen with them."""


@dataclass(frozen=True)
class BegunRefinement:
    """A refinement that was begun.

    Attributes:
        name: Key of its table.
        parent: The prompt that is to be improved.
        rows: Which validation rows it may see.
        test: Digest of the ids of the locked test rows.
        n_test: How many they are.
    """

    name: str
    table: RefineTable
    folder: RefinementDir
    parent: Prompt
    rows: RefinementRows
    test: str
    n_test: int


def begin(config: Config, name: str, run: RunDir) -> BegunRefinement:
    """Return a refinement, its rows drawn and frozen by the first call.

    Raises:
        DataError: There are too few validation rows, or no test row.
        RunMismatch: It was begun with other settings, another parent, or other data.
    """
    table, folder = config.refine[name], RefinementDir.of(run, name)
    parent = load_prompt(table.parent)
    with run.lock():
        if not folder.settings.exists():
            _freeze(config, table, folder, parent, run)
    return _begun(config, name, folder, parent)


def _freeze(
    config: Config, table: RefineTable, folder: RefinementDir, parent: Prompt, run: RunDir
) -> None:
    """Draw the rows and write everything, the settings last."""
    examples = examples_of(config, run)
    rows = draw_rows(examples, table.worst_of, table.rounds, table.seed)
    steps = {WORST: rows.proposing}
    steps |= {round_name(i): ids for i, ids in enumerate(rows.rounds, start=1)}
    for step, ids in steps.items():
        write_bytes(_ids_text(ids).encode(), folder.ids(step))
    write_prompt(folder, parent)
    tested = _test_ids(config, examples)
    record = {
        "settings": _settings(config, table, parent),
        "data": _identity(config),
        "rows": {step: list(ids) for step, ids in steps.items()},
        "test": {"rows": len(tested), "digest": digest(sorted(tested))},
    }
    write_json(record, folder.settings)


def _begun(config: Config, name: str, folder: RefinementDir, parent: Prompt) -> BegunRefinement:
    table = config.refine[name]
    try:
        found = read_json(folder.settings)
        listed = found["rows"]
        rounds = tuple(tuple(listed[round_name(i)]) for i in range(1, len(listed)))
        rows = RefinementRows(tuple(listed[WORST]), rounds)
        tested = found["test"]
        _require_same(folder, found, _settings(config, table, parent), _identity(config))
        begun = BegunRefinement(
            name, table, folder, parent, rows, tested["digest"], int(tested["rows"])
        )
    except (KeyError, TypeError, AttributeError, Damaged) as error:
        msg = (
            f"{folder.settings} is not what was written ({first_line(error)}): expected the "
            "settings of a refinement, with which it was begun; restore it from a copy, or remove "
            f"{folder.root}, which begins it anew"
        )
        raise Damaged(msg) from error
    _require_frozen(folder, listed, parent)
    return begun


def _require_same(
    folder: RefinementDir, found: Mapping[str, Any], settings: Mapping[str, Any], now: Any
) -> None:
    changed = [
        f"{key}: {found['settings'].get(key)} → {value}"
        for key, value in settings.items()
        if found["settings"].get(key) != value
    ]
    changed += data.changes(found["data"], now)
    if changed:
        msg = (
            f"{folder.root} was begun otherwise: {'; '.join(changed)}. What is chosen would not be "
            "what was declared: expected the same settings; set the old ones again, or give the "
            "table [refine.<name>] another name"
        )
        raise RunMismatch(msg)


def _require_frozen(
    folder: RefinementDir, listed: Mapping[str, Sequence[str]], parent: Prompt
) -> None:
    """Refuse lists of rows, or a copy of the parent, that are not what was frozen.

    Steps read these files: with other rows, what is proposed from might be scored on.

    Raises:
        Damaged: Naming the first.
    """
    for step, ids in listed.items():
        path = folder.ids(step)
        if not path.exists() or path.read_text(encoding="utf-8") != _ids_text(ids):
            raise Damaged(_not_frozen(path, "the ids that were drawn, as settings.json has them"))
    path = folder.prompt(parent.name)
    try:
        same = wording_digest(prompts.read(path)) == wording_digest(parent)
    except EmpathyError:
        same = False
    if not same:
        raise Damaged(_not_frozen(path, "the words of the parent prompt"))


def _not_frozen(path: Path, expected: str) -> str:
    return (
        f"{path} is not what was frozen: expected {expected}; restore it from a copy, or begin a "
        "refinement of another name"
    )


def _ids_text(ids: Sequence[str]) -> str:
    return "\n".join(ids) + "\n"


def _settings(config: Config, table: RefineTable, parent: Prompt) -> dict[str, Any]:
    """Return what is frozen at the beginning, as JSON has it."""
    target = target_of(config, table)
    options = metric_options(config).get(target.metric)
    signature = metrics.load(target.metric, options).signature() if options is not None else ""
    whole = json.loads(table.model_dump_json())
    early = {key: value for key, value in whole.items() if key not in (*LATER, "parent")}
    return {
        **early,
        "better": target.better,
        "test_rows": {key: getattr(config.evaluate, key) for key in ("limit", "unit", "seed")},
        "signature": signature,
        "parent": parent.name,
        "parent_digest": wording_digest(parent),
    }


def _identity(config: Config) -> dict[str, Any]:
    """Return what rows are made of; which are evaluated, each step says itself."""
    found = data.identity(config.data_spec(), config.evaluate_spec())
    del found["evaluate"]
    whole: dict[str, Any] = json.loads(json.dumps(found))
    return whole


def _test_ids(config: Config, examples: pl.DataFrame) -> list[str]:
    """Return the ids of the rows that are tested on.

    Raises:
        DataError: The test split holds none.
    """
    spec = replace(config.evaluate, split="test", ids=None)
    found = splitting.evaluated(examples, spec)
    if not found:
        msg = (
            "the test split holds no row: expected some, which nobody has chosen by; give "
            "data.fractions a share of test, or give more data"
        )
        raise DataError(msg)
    return found


def write_prompt(folder: RefinementDir, prompt: Prompt) -> None:
    """Write a prompt into the refinement, where its steps read it."""
    store.write_bytes(as_toml(prompt).encode(), folder.prompt(prompt.name))
