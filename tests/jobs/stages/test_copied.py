"""``sweep --from``: answers and scores of another run that hold, and none that do not."""

import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from empathy_core import store
from empathy_core.errors import Damaged
from empathy_core.store import RunDir
from jobs.config import read as configuration
from jobs.planning import sweep
from jobs.stages import copied, known_scores
from jobs.stages.copied import CopiedAnswers
from tests.jobs.commands.test_refused_sweeps import tree
from tests.runs.growing import (
    ECHO,
    Killed,
    files,
    killed_after,
    reported,
    swept,
    tables,
    work,
    write_rows,
)
from tests.tiny_models import tiny_llama

OLD = "evaluate.limit=40"
OTHER = ("evaluate.limit=50", "evaluate.seed=9", "data.seed=3")
"""Another split and another draw: 50 of the 60 rows."""
DRAWN = ECHO + "[decoding.greedy]\nsample = true\nsamples = 2\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run ``old`` of 40 rows."""
    folder = tmp_path_factory.mktemp("copied")
    write_rows(folder)
    swept(folder, OLD, name="old")
    return folder


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def planned_from(
    folder: Path, *changes: str, text: str = ECHO, name: str = "new"
) -> tuple[sweep.Planned, CopiedAnswers]:
    """Plan a run with what holds of ``old``."""
    (folder / "new.toml").write_text(text)
    config = configuration.read(str(folder / "new.toml"), changes)
    run, found = RunDir(folder / "runs" / name), []
    old = RunDir(folder / "runs" / "old")
    of = sweep.plan(config, run, "a test", lambda drafted: found.append(_added(old, drafted, run)))
    return of, found[0]


def _added(old: RunDir, drafted: sweep.Planned, run: RunDir) -> CopiedAnswers:
    return copied.add(old, drafted, run)


def answers(run: RunDir, condition: str) -> pl.DataFrame:
    """Return the finished answers of a condition."""
    return pl.concat(map(pl.read_parquet, store.list_pieces(run.generations(condition))))


def test_a_run_with_another_split_keeps_what_holds(copy: Path):
    """Tables are those of a run made without the old one, which is only read."""
    old, before = RunDir(copy / "runs" / "old"), tree(copy / "runs" / "old")
    of, kept = planned_from(copy, *OTHER)
    run = RunDir(copy / "runs" / "new")
    asked = set(kept_questions(of, old))
    shared = of.resolved.rows.evaluated.filter(pl.col("context").is_in(asked)).height
    work(run, of)
    reported(run, of)
    once = swept(copy, *OTHER, name="once")

    assert kept.text().splitlines()[0] == (
        f"kept {2 * shared} of 100 answers of 2 conditions from {old.root}; "
        f"{2 * (50 - shared)} to generate"
    )
    assert 0 < shared < 50
    assert tables(run) == tables(once)
    assert tree(old.root) == before
    told = json.loads((run.root / copied.RECORD).read_text())
    assert told["from"] == "old"
    assert [one["answers"] for one in told["conditions"].values()] == [shared, shared]


def kept_questions(of: sweep.Planned, old: RunDir) -> list[str]:
    """Return the questions that the old run answered."""
    rows = of.resolved.rows.examples.select("context", example="id")
    return rows.join(answers(old, _echo(of)), on="example")["context"].to_list()


def _examples(of: sweep.Planned) -> set[str]:
    return set(of.resolved.rows.evaluated["id"])


def _echo(of: sweep.Planned) -> str:
    return next(c.id for c in of.plan.conditions if c.model.name == "echo")


def test_answers_come_with_all_that_was_recorded_of_them(copy: Path):
    """Text, token ids, counts and the digest of the prompt: all but the place, and the row's name.

    Two rows may ask the same.
    """
    of, kept = planned_from(copy, *OTHER)
    theirs = answers(RunDir(copy / "runs" / "old"), _echo(of)).drop("block", "example")
    mine = kept.answers[_echo(of)]

    both = mine.drop("block", "example").join(
        theirs, on=theirs.columns, how="semi", nulls_equal=True
    )

    assert both.height == mine.height > 0


CHANGED = {
    "the prompt": ECHO.replace('"none", "prompt1"', '"prompt2"'),
    "the limit of tokens": ECHO + "[decoding.greedy]\nmax_new_tokens = 7\n",
    "a draw": DRAWN,
}


@pytest.mark.parametrize("what", CHANGED)
def test_another_setting_is_another_condition(copy: Path, what: str):
    """Nothing is taken, and identities are never mixed."""
    _, kept = planned_from(copy, OLD, text=CHANGED[what])

    assert kept.n_kept == 0
    assert kept.scores == {}


def test_a_question_that_reads_otherwise_is_asked_again(copy: Path):
    """Its answer and score stay behind; a changed reference costs the score alone."""
    lines = (copy / "made.csv").read_text().splitlines()
    asked, referred = lines[1], lines[3]
    question, rest = asked.split(",", 1)
    lines[1] = f"{question} or so,{rest}"
    context, answer, who = referred.split(",")
    lines[3] = f"{context},{answer} and more,{who}"
    (copy / "made.csv").write_text("\n".join(lines) + "\n")
    mine = (copy / "mine.csv").read_text().splitlines()
    (copy / "mine.csv").write_text("\n".join([*mine, f"{question} or so,Yes"]) + "\n")
    everything = swept(copy, "evaluate.limit=60", name="all")
    shutil.rmtree(copy / "runs" / "old")
    everything.root.rename(copy / "runs" / "old")
    lines[1], lines[3] = asked, referred
    (copy / "made.csv").write_text("\n".join(lines) + "\n")

    of, kept = planned_from(copy, "evaluate.limit=60")

    echo = _echo(of)
    assert _examples(of) - set(kept.answers[echo]["example"]) <= {"made-00000"}
    ids = {key[0].split("-")[0]: set(rows["example"]) for key, rows in kept.scores.items()}
    assert "made-00002" in set(kept.answers[echo]["example"])
    assert "made-00002" not in ids["bleu"]
    assert "made-00004" in ids["bleu"]


def test_damage_costs_what_is_damaged_and_is_told(copy: Path):
    """Of an old run that is broken and not finished, only what proves itself is taken."""
    run = RunDir(copy / "runs" / "old")
    of, whole = planned_from(copy, OLD, name="whole")
    first, second = store.list_pieces(run.generations(_echo(of)))
    first.write_bytes(first.read_bytes()[:-50])
    lost = set(pl.read_parquet(second)["example"])
    second.unlink()

    _, kept = planned_from(copy, OLD)

    echo = _echo(of)
    assert whole.answers[echo].height == 40
    assert echo not in kept.answers
    assert kept.n_kept == 40  # of the other prompt
    assert lost
    assert re.search(r"not used: .*is damaged", kept.text())


def test_what_a_killed_run_had_finished_is_taken_from_its_journal(copy: Path):
    """Whole lines count; a torn one is as if it had never been."""
    run = RunDir(copy / "runs" / "old")
    of, _ = planned_from(copy, OLD, name="whole")
    echo = _echo(of)
    piece = store.list_pieces(run.generations(echo))[0]
    rows = pl.read_parquet(piece)
    piece.unlink()
    journal = store.Journal(run.journal(echo, 0, 2, "here"))
    n = 0
    for (block,), part in rows.group_by("block", maintain_order=True):
        journal.append(int(block), part.drop("condition", "block").to_dicts(), 1.0)  # type: ignore[call-overload]  # a number
        n += part.height
    journal.close()
    path = run.journal(echo, 0, 2, "here")
    content = path.read_bytes().splitlines(keepends=True)
    torn = len(json.loads(content[-1])["rows"])
    path.write_bytes(b"".join(content)[:-20])

    _, kept = planned_from(copy, OLD)

    assert kept.answers[echo].height == 40 - torn
    assert n > torn


def test_rows_that_cannot_be_proven_refuse_the_whole(copy: Path):
    """Without the old run's rows nobody knows what was asked."""
    examples = RunDir(copy / "runs" / "old").examples
    examples.write_bytes(examples.read_bytes()[:-9])

    with pytest.raises(Damaged, match="is not what was frozen"):
        planned_from(copy, OLD)

    assert not (copy / "runs" / "new").exists()


def test_copying_twice_changes_nothing(copy: Path):
    """The same command again, after a kill or not: what is there stays."""
    of, kept = planned_from(copy, *OTHER)
    run = RunDir(copy / "runs" / "new")
    before = {k: v[1] for k, v in tree(run.root).items() if not k.startswith("plans")}
    shutil.rmtree(run.generations(_echo(of)))  # killed before it was copied
    again, same = planned_from(copy, *OTHER)

    assert again.plan.conditions == of.plan.conditions
    assert same.n_kept == kept.n_kept
    after = {k: v[1] for k, v in tree(run.root).items() if not k.startswith("plans")}
    assert after == before


def test_a_kill_at_any_file_of_the_copying_leaves_the_same_run(copy: Path, tmp_path: Path):
    """The same command does the rest; what was written is neither doubled nor mixed."""
    with killed_after(1000) as names:
        planned_from(copy, *OTHER, name="calm")
    undisturbed = files(RunDir(copy / "runs" / "calm"))
    assert len(names) >= 15
    for n in range(0, len(names), 2):
        with pytest.raises(Killed), killed_after(n):
            planned_from(copy, *OTHER)
        planned_from(copy, *OTHER)
        run = RunDir(copy / "runs" / "new")

        assert files(run) == undisturbed, names[n]
        shutil.rmtree(run.root)


def test_scores_are_taken_and_not_computed_again(copy: Path):
    """What stands in the copied statistics is what the tables are made from."""
    of, kept = planned_from(copy, *OTHER)
    run = RunDir(copy / "runs" / "new")
    (key, condition) = next(k for k in kept.scores if k[0].startswith("length"))
    marked = kept.scores[key, condition].with_columns(pl.col(pl.Float64) + 1000.0)
    known_scores.write(marked, run, key, condition)
    work(run, of)

    rows = pl.concat(map(pl.read_parquet, store.list_pieces(run.scores(key, condition))))
    names = [name for name in marked.columns if name not in known_scores.KEY]
    found = marked.join(rows, on=["example", "sample"], suffix="_there")
    assert found.height == marked.height > 0
    for name in names:
        assert found[name].equals(found[f"{name}_there"], check_names=False)
    others = rows.join(marked, on=["example", "sample"], how="anti")
    assert others.height == 50 - marked.height
    assert others[names[0]].max() < 1000.0  # type: ignore[operator]  # a number


def test_diversity_is_never_taken(copy: Path):
    """What is compared with other answers depends on which these are."""
    _, kept = planned_from(copy, *OTHER)

    assert {key.rpartition("-")[0] for key, _ in kept.scores} == {
        "bleu",
        "rouge",
        "length",
        "crisis",
    }


def test_a_draw_is_taken_for_the_same_example_alone(copy: Path):
    """The draw depends on the example's name: another row with the same question draws anew."""
    swept(copy, OLD, name="drawn", text=DRAWN)
    shutil.rmtree(copy / "runs" / "old")
    (copy / "runs" / "drawn").rename(copy / "runs" / "old")
    old = RunDir(copy / "runs" / "old")

    of, kept = planned_from(copy, *OTHER, text=DRAWN)

    shared = _examples(of) & set(answers(old, _echo(of))["example"])
    mine = kept.answers[_echo(of)]
    assert set(mine["example"]) == shared
    assert mine.height == 2 * len(shared)


TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


@pytest.mark.slow
def test_answers_of_a_model_are_taken_where_its_prompt_is_the_same_to_the_token(tmp_path: Path):
    """The same weights under another chat template were asked something else."""
    write_rows(tmp_path, 16)
    text = re.sub(r"\[models.echo\].*\n.*", _tiny(tmp_path), ECHO).replace("[answers.mine]", "[a]")
    text = re.sub(r"\[a\]\n(.*\n){3}", "", text) + "[decoding.greedy]\nmax_new_tokens = 5\n"
    written(tmp_path, TEMPLATE)
    old = swept(tmp_path, "evaluate.limit=9", name="old", text=text)
    of, kept = planned_from(tmp_path, "evaluate.seed=4", text=text)
    run = RunDir(tmp_path / "runs" / "new")
    work(run, of)
    reported(run, of)
    once = swept(tmp_path, "evaluate.seed=4", name="once", text=text)

    (taken,) = kept.answers.values()
    (condition,) = kept.answers
    theirs = {tuple(ids) for ids in answers(old, kept.taken_from[condition][0])["output_ids"]}
    assert {tuple(ids) for ids in taken["output_ids"]} <= theirs
    assert 0 < taken.height < 16
    assert tables(run) == tables(once)

    written(tmp_path, TEMPLATE + "!")
    _, other = planned_from(tmp_path, "evaluate.seed=4", text=text, name="other")
    assert other.n_kept == 0


def _tiny(folder: Path) -> str:
    tiny_llama(folder / "tiny")
    return (
        f'[models.tiny]\nweights = "{folder / "tiny"}"\narchitecture = "decoder"\n'
        'chat_template = true\nprompts = ["none"]'
    )


def written(folder: Path, template: str) -> None:
    """Give the model a chat template."""
    path = folder / "tiny" / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chat_template": template}))
