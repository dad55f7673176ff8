"""No two numbers have one key, no two tables one file, and no name leads out of its folder."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from empathy_core import data, prompts
from empathy_core.errors import ConfigError
from empathy_core.store import RunDir, one_name, write_json
from empathy_core.types import Condition, Prompt
from jobs.config.read import read
from jobs.config.run_names import run_folder
from jobs.launch import main
from reports.build import Report, build
from reports.keys import ALL, Keys, column_keys, condition_keys, exact, file_names
from reports.latex.escape import label as tex_label
from reports.rows.collect import collect
from reports.spec import Analysis, ReportSpec
from reports.write import write_report
from tests.papers import needs_latex
from tests.reports.latex.test_macros import compiled, text, told
from tests.runs.by_hand import FLAN, LLAMA, Toy, condition, make, spec
from tests.runs.command_line import ECHO, write_config

IMITATING = st.text("ab-.=@+_ /–抑v", max_size=6) | st.sampled_from(  # noqa: RUF001 - an en dash
    ["a-vs-b", "contrast", "none", "toy_words", "a.none", "all", "a+20+b", "a b", "a/b", "++", "m"]
)
NAMES = st.text(max_size=6) | IMITATING
KEY = re.compile(r"[A-Za-z0-9_.=@+-]*")
METRIC = "toy-00000000"


def named(model: str, prompt: str) -> Condition:
    """Return a condition whose model and prompt are called so."""
    made = condition(model, "Label")
    return replace(made, prompt=Prompt(prompt, prompt, "{context}", ()))


# ---------------------------------------------------------------------------- keys of a run


def meanings(keys: Keys, of: tuple[Sequence[Condition], Sequence[str], Sequence[str]],
             metrics: dict[str, Toy]) -> list[tuple[object, str, str]]:  # fmt: skip
    """Return every number of a report: what it is, its key, and what its key was before."""
    conditions, contrasts, subsets = of
    columns = {(k, c.name): c for k, m in metrics.items() for c in m.columns}
    before = plain_parts(conditions, columns)
    names = {c.id: (c.model.name, c.prompt.name) for c in conditions}
    found: list[tuple[object, str, str]] = []
    for at, column in columns.items():
        for i, name in names.items():
            for subset in (ALL, *subsets):
                end = "" if subset == ALL else f"@{plain(subset)}"
                old = f"{before[i]}.{before[at]}{end}"
                found.append(((name, at, subset), keys.score(i, at, subset), old))
        if column.main:
            for i, j in permutations(names, 2):
                old = f"{before[i]}-vs-{before[j]}.{before[at]}"
                found.append(((names[i], names[j], at), keys.difference(i, j, at), old))
            for of_contrast in contrasts:
                old = plain(f"contrast.{of_contrast}") + f".{before[at]}"
                told = "contrast", of_contrast, at
                found.append((told, keys.contrast(of_contrast, at), old))
    return found


def plain(text: str) -> str:
    """Return what the first version of the suite made of a name, written down once more."""
    return re.sub(r"[^A-Za-z0-9_.=-]+", "-", text)


def plain_parts(conditions: Sequence[Condition], columns: Iterable[tuple[str, str]]) -> dict:
    """Return what the first version called conditions and columns."""
    keys = {c.id: f"{c.model.name}.{c.prompt.name}" for c in conditions}
    for part in (lambda c: c.decoding.name, lambda c: c.id.rpartition("-")[2]):
        times = Counter(keys.values())
        keys |= {c.id: f"{keys[c.id]}.{part(c)}" for c in conditions if times[keys[c.id]] > 1}
    columns = list(columns)
    times = Counter(name for _, name in columns)
    of_columns = {at: plain(at[1] if times[at[1]] == 1 else ".".join(at)) for at in columns}
    return {i: plain(key) for i, key in keys.items()} | of_columns


@st.composite
def runs(draw: st.DrawFn) -> tuple[tuple[list[Condition], list[str], list[str]], dict[str, Toy]]:
    """Return conditions, contrasts, subsets, and metrics, under names of all kinds."""
    pairs = draw(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=4, unique=True))
    of_columns = st.lists(st.tuples(NAMES, st.booleans()), min_size=1, max_size=3)
    metrics = {f"m{i}": Toy(name, main) for i, (name, main) in enumerate(draw(of_columns))}
    subset = st.tuples(NAMES, NAMES).map("=".join)
    subsets = draw(st.lists(subset, max_size=4, unique=True))
    contrasts = draw(st.lists(NAMES, max_size=2, unique=True))
    return ([named(*pair) for pair in pairs], contrasts, subsets), metrics


@settings(max_examples=200, deadline=None)
@given(runs())
def test_every_key_is_one_numbers_and_what_was_unique_is_as_it_was(drawn):
    """Whatever models, prompts, columns, contrasts and values are called, across all kinds."""
    of, metrics = drawn
    found = meanings(Keys.of(of[0], metrics, *of[1:]), of, metrics)

    keys = [key for _, key, _ in found]
    assert len(set(keys)) == len(keys)
    assert all(KEY.fullmatch(key) for key in keys)
    times = Counter(old for *_, old in found)
    assert all(key == old for _, key, old in found if times[old] == 1)
    assert all("+" in key for _, key, old in found if times[old] > 1)


@settings(max_examples=200, deadline=None)
@given(runs(), NAMES, NAMES)
def test_a_later_value_never_takes_over_a_key(drawn, column: str, value: str):
    """A key that has become ambiguous is no key any more."""
    of, metrics = drawn
    more = (*of[:2], [*of[2], f"{column}={value}"])

    before = {key: what for what, key, _ in meanings(Keys.of(of[0], metrics, *of[1:]), of, metrics)}
    after = {
        key: what for what, key, _ in meanings(Keys.of(of[0], metrics, *more[1:]), more, metrics)
    }

    assert all(after[key] == before[key] for key in before.keys() & after.keys())


@settings(deadline=None)
@given(runs())
def test_conditions_and_columns_have_keys_of_their_own(drawn):
    """Among themselves, and the key of a condition is no number's."""
    (conditions, *rest), metrics = drawn
    keys = Keys.of(conditions, metrics, *rest)
    numbers = {key for _, key, _ in meanings(keys, (conditions, *rest), metrics)}
    own = {c.id: keys.condition(c.id) for c in conditions}

    assert len({*own.values()}) == len(own)
    assert not numbers & {*own.values()}
    for alone in (condition_keys(conditions), column_keys(metrics)):
        assert len({*alone.values()}) == len(alone)
        assert all(KEY.fullmatch(key) for key in alone.values())


@given(st.text())
def test_an_exact_spelling_can_be_read_back(name: str):
    """Every second part between plus signs are the numbers of characters."""
    parts = exact(name).split("+")
    numbers = [part.split("_") for part in parts[1::2]]
    parts[1::2] = ["".join(chr(int(n, 16)) for n in of) for of in numbers]

    assert "".join(parts) == name


def test_what_collides_is_spelled_so_that_a_person_sees_the_difference():
    """Only the part that is another's, too, changes."""
    subsets = ["topic=18-25", "topic=18–25", "topic=抑郁", "topic=焦虑", "topic=rest"]  # noqa: RUF001
    keys = Keys.of([named("smollm2-135m", "none")], {METRIC: Toy()}, (), subsets)
    at = METRIC, "toy_words"
    (of,) = condition_keys([named("smollm2-135m", "none")])

    assert [keys.score(of, at, subset).partition("@")[2] for subset in subsets] == [
        "topic=18+2d+25", "topic=18+2013+25", "topic=+6291_90c1+", "topic=+7126_8651+",
        "topic=rest",
    ]  # fmt: skip
    assert all(keys.score(of, at, s).startswith("smollm2-135m.none.toy_words@") for s in subsets)


# ---------------------------------------------------------------------------- reports


def written(
    root: Path, columns: dict[str, Sequence[str]], n: int = 40
) -> tuple[RunDir, ReportSpec]:
    """Write a run whose examples have *columns*, values taking turns; return it and its report."""
    about = spec(LLAMA, FLAN, analysis=Analysis(subgroups=tuple(columns)))
    run = make(root, about, n=n)
    ids = pl.read_parquet(run.examples)["id"]
    series = [pl.Series(name, [of[i % len(of)] for i in range(len(ids))])
              for name, of in columns.items()]  # fmt: skip
    carried = data.columns.Carried(pl.DataFrame([ids, *series]), {"sample": list(columns)})
    write_json(data.columns.write(carried, run), run.data)
    return run, about


def report(root: Path, columns: dict[str, Sequence[str]], n: int = 40) -> Report:
    """Return the report of such a run."""
    run, about = written(root, columns, n)
    return build(collect(run, about), about)


NASTY = {
    "age/sex": ["18-25", "18–25"],  # noqa: RUF001 - an en dash
    "talk %": ["work/family", "work family"],
    "../../../evil": ["a", "b"],
    "话题": ["抑郁", "焦虑"],
    "Topic": ["x"],
    "topic": ["x", "y"],
    "topic-standalone": ["x"],
    "x" * 300: ["long"],
    "#\\input{/etc/passwd}": ["$"],
}


def test_each_value_has_its_own_number_and_every_reader_finds_it(tmp_path: Path):
    """Tables, page and macros have the same keys; the values of the two topics differ."""
    found = report(tmp_path / "run", NASTY)

    results = {r.key: r for r in found.results}
    cells = [c for s in found.sections for t in s.tables for g in t.groups for r in g.rows
             for c in r.cells if c.key]  # fmt: skip
    assert len(results) == len(found.results)
    assert all(results[cell.key].text == cell.text for cell in cells)
    mine = [r for r in found.results if r.kind == "score" and r.column == "toy_words"]
    at = {r.subset: r for r in mine if r.condition == LLAMA.id}
    summary = found.summary.filter(condition=LLAMA.id, column="toy_words")
    for subset, score in summary.select("subset", "score").iter_rows():
        assert at[subset].value == score
    assert len({at["话题=抑郁"].value, at["话题=焦虑"].value}) == 2


def test_no_name_of_a_column_leads_out_of_the_report(tmp_path: Path):
    """Nothing is written beside it, and no two columns share a file or a label."""
    run, about = written(tmp_path / "deep" / "down" / "run", NASTY)
    outside = {p for p in tmp_path.rglob("*") if not p.is_relative_to(run.report)}

    write_report(run, about)

    left = {p for p in tmp_path.rglob("*") if not p.is_relative_to(run.report)}
    assert left - outside <= {run.root / "locks", run.root / "locks" / "report.lock"}
    files = {p.name for p in run.report.iterdir()}
    tables = [name for name in files if name.startswith("table-by-")]
    assert len({name.casefold() for name in tables}) == len(tables) == 3 * len(NASTY)
    assert all(p.is_file() for p in run.report.iterdir())
    labels = re.findall(r"\\label{(.*)}", "".join(p.read_text() for p in run.report.glob("*.tex")))
    assert len(set(labels)) == len(labels)


@pytest.mark.slow
@settings(max_examples=3, deadline=None)
@given(st.dictionaries(NAMES.filter(bool), st.just("v"), min_size=1, max_size=4), NAMES)
def test_whatever_columns_and_labels_are_called_a_report_stays_in_its_folder(
    tmp_path_factory: pytest.TempPathFactory, columns: dict[str, str], label: str
):
    """The tree beside it is what it was; every declared column has its three files in it."""
    home = tmp_path_factory.mktemp("home")
    columns = {name: of for name, of in columns.items() if "=" not in name}
    run, about = written(home / "deep" / "run", columns, n=12)
    before = {p for p in home.rglob("*") if run.report not in (p, *p.parents)}

    write_report(run, replace(about, label=label, title=label, caption=label))

    after = {p for p in home.rglob("*") if run.report not in (p, *p.parents)}
    assert after - before <= {run.root / "locks", run.root / "locks" / "report.lock"}
    assert len(list(run.report.glob("table-by-*"))) == 3 * len(columns)


@given(st.lists(NAMES | st.sampled_from(["A", "a", "a-standalone", "x" * 400]), max_size=6))
def test_no_two_columns_share_a_file_whatever_they_are_called(columns: list[str]):
    """Plain ones are as they are unless another is the same but for case."""
    found = file_names(columns)

    every = [f"table-by-{name}{end}.tex" for name in found.values() for end in ("", "-standalone")]
    assert len({name.casefold() for name in every}) == len(every)
    assert all(re.fullmatch(r"[A-Za-z0-9_.=+-]+", name) for name in every)
    assert all(len(f".{name}.01234567.tmp") <= 255 for name in every)
    for column, name in found.items():
        alone = not any(rivals(column, other) for other in set(columns) - {column})
        if alone and column == plain(column) and len(column) <= 200:
            assert name == column


def rivals(one: str, other: str) -> bool:
    """Whether two columns would share a file under their plain spellings."""
    first, second = ({p, f"{p}-standalone"} for p in (plain(one).lower(), plain(other).lower()))
    return bool(first & second)


def test_plain_columns_keep_their_files(tmp_path: Path):
    """Papers input them, and refer to their labels."""
    found = report(tmp_path / "run", {"topic": "a", "age_group": "b", "v1.2=x": "c", "a:b": "d"})

    sections = [s for s in found.sections if s.file.startswith("table-by-")]
    assert [s.file for s in sections] == [
        "table-by-topic", "table-by-age_group", "table-by-v1.2=x", "table-by-a-b",
    ]  # fmt: skip
    assert [tex_label(t.words.label) for s in sections for t in s.tables] == [
        "tab:main-by-topic-1", "tab:main-by-age_group-1", "tab:main-by-v1.2-x-1",
        "tab:main-by-a:b-1",
    ]  # fmt: skip


def test_two_columns_that_make_one_name_are_refused(tmp_path: Path):
    """``a`` = ``b=c`` and ``a=b`` = ``c`` would be one subgroup; a column named twice is one."""
    with pytest.raises(ConfigError, match=r"'a' and 'a=b' both make a subgroup.*'a=b=c'"):
        report(tmp_path / "run", {"a": ["b=c"], "a=b": ["c"]})


def test_a_value_may_be_called_as_the_others_are(tmp_path: Path):
    """Then the others together are called otherwise."""
    rare = [f"rare {i}" for i in range(12)]
    found = report(tmp_path / "run", {"topic": [*["often"] * 4, *["other values"] * 4, *rare]}, 240)

    assert set(found.summary["subset"]) == {
        "all", "topic=often", "topic=other values", "topic=all other values",
    }  # fmt: skip


@needs_latex
def test_tables_and_macros_of_any_name_compile(tmp_path: Path):
    """Every table by itself, and all keys in one paper, each with its own value."""
    run, about = written(tmp_path / "run", NASTY)
    write_report(run, about)
    found = build(collect(run, about), about)
    numbers = [r for r in found.results if "@" in r.key and r.column == "toy_words"]
    body = r"\par ".join(rf"N{i}: \res{{{r.key}}} " for i, r in enumerate(numbers))

    said = compiled(
        run.report,
        rf"\documentclass{{article}}\input{{macros}}\begin{{document}}{body}\end{{document}}",
    )

    assert "Output written" in said, said[-1500:]
    shown = text(run.report)
    assert all(f"N{i}: {r.text} " in f"{shown} " for i, r in enumerate(numbers))


@needs_latex
def test_tables_by_columns_of_any_name_stand_in_one_paper(tmp_path: Path):
    """Each under its own label."""
    run, about = written(tmp_path / "run", NASTY)
    write_report(run, about)
    files = sorted(p.stem for p in run.report.glob("table-by-*.html"))
    fragments = [(run.report / f"{name}.tex").read_text() for name in files]
    labels = re.findall(r"\\label{(.*)}", "".join(fragments))
    tables = "".join(rf"\input{{{name}}}\clearpage " for name in files)
    cited = "".join(rf"L{i}: \ref{{{label}}} " for i, label in enumerate(labels))

    said = compiled(
        run.report,
        r"\documentclass{article}\usepackage{booktabs}\begin{document}"
        rf"{tables}{cited}\end{{document}}",
    )

    assert "Output written" in said, said[-1500:]
    assert "multiply defined" not in said
    shown = text(run.report)
    assert all(f"L{i}: {i + 1}" in shown for i in range(len(labels)))


@needs_latex
def test_a_key_that_has_become_ambiguous_stops_tex(tmp_path: Path):
    """It names what it may be, and prints no number of either."""
    found = report(tmp_path / "run", {"topic": ["work family", "work/family"]})
    lost = "llama.prompt1.toy_words@topic=work-family"

    said = told(tmp_path, rf"A \res{{{lost}}}", results=found.results)

    assert "no output PDF file produced" in said
    assert f"No number is called {lost} The nearest: " in said
    assert all(f"llama.prompt1.toy_words@topic=work+{n}+family" in said for n in ("20", "2f"))


# ---------------------------------------------------------------------------- folders


@given(st.text() | st.text("./\\\0 a\n", max_size=4) | st.sampled_from(["..", "a" * 300, "..."]))
def test_a_name_is_one_folder_in_its_place_or_is_refused(name: str):
    """Of conditions, metrics, adapters, tasks, submissions."""
    run = RunDir(Path("/runs/r"))
    ways = (
        (run.generations, 2), (lambda n: run.scores("m", n), 3), (lambda n: run.scores(n, "c"), 3),
        (run.adapter, 2), (run.training, 2), (run.diagnosis, 2), (run.log, 2), (run.submission, 2),
        (run.rendering, 2), (run.code, 3),
    )  # fmt: skip
    for of, depth in ways:
        try:
            path = of(name)
        except ConfigError as error:
            assert "cannot be the name" in str(error)  # noqa: PT017 - either way is right
            assert set(name) & {"/", "\0", "\n"} or name in ("", ".", "..") or not name.isascii() \
                or not name.isprintable() or len(name) > 200  # fmt: skip
        else:
            parts = path.relative_to(run.root).parts
            assert len(parts) == depth
            assert ".." not in parts
            assert len(parts[-1].encode()) <= 255


def test_a_file_that_a_report_writes_has_one_name():
    """Whoever names a section."""
    for name in ("../evil", "a/b", "..", ""):
        with pytest.raises(ConfigError, match="cannot be the name of a file or folder"):
            one_name(name, ".tex")


GOOD = ["demo", "a", "exp.1", "A_b-c.d", "x" * 200, "7"]
BAD = ["..", ".", "", "../x", "a/b", "/tmp/x", "-x", ".x", "x.", "x ", " x", "a b", "é", "抑郁",
       "a\nb", "a\0b", "x" * 201, "a\\b", "demo\n", "\udcff"]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_run_has_a_folder_of_its_own(tmp_path: Path, name: str):
    """Directly in the folder of runs."""
    assert run_folder(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_of_a_run_is_refused(tmp_path: Path, name: str):
    """With what is allowed."""
    with pytest.raises(ConfigError, match=r"cannot be the name of a run.*expected.*letters"):
        run_folder(tmp_path, name)


@given(st.text(max_size=12) | st.text("./~-a ", max_size=5))
def test_whatever_a_run_is_called_it_stays_in_its_place(name: str):
    """Or is refused; nothing is looked up outside."""
    try:
        folder = run_folder(Path("/nowhere/runs"), name)
    except ConfigError:
        return
    assert folder.parent == Path("/nowhere/runs")
    assert folder.name not in ("", ".", "..")


def test_runs_that_are_there_are_found_by_any_name(tmp_path: Path):
    """Of older versions, which allowed more; a new one differs from them in more than case."""
    for name in ("my run", "Demo"):
        (tmp_path / name / "plans").mkdir(parents=True)

    assert run_folder(tmp_path, "my run") == tmp_path / "my run"
    assert run_folder(tmp_path, "Demo") == tmp_path / "Demo"
    with pytest.raises(ConfigError, match="'Demo' is there"):
        run_folder(tmp_path, "demo")


@pytest.mark.parametrize("command", ["sweep", "status", "report", "explain", "merge"])
@pytest.mark.parametrize("name", ["..", ".", "../out", "a/b", "", "x" * 300])
def test_the_command_line_refuses_a_name_that_is_a_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, name: str
):
    """Exit code 2, and nothing is written anywhere."""
    (tmp_path / "runs").mkdir()
    path = write_config(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    more = ("an-adapter", "--out", str(tmp_path / "out")) if command == "merge" else ()

    ended = main(
        [command, *more, "--config", str(path), f"--name={name}", "--runs", str(tmp_path / "runs")]
    )

    assert ended == 2
    assert "cannot be the name of a run" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("part", ["models.echo", "prompt", "decoding.greedy"])
def test_names_that_are_too_long_for_a_folder_are_refused_before_anything_is_done(
    tmp_path: Path, part: str
):
    """Model, prompt and decoding name a folder together."""
    long = "x" * 240
    prompt = tmp_path / f"{long}.toml"
    prompt.write_text((Path(prompts.__file__).parent / "none.toml").read_text())
    config = {
        "models.echo": ECHO.replace(
            "[models.echo]", f"[models.{long}]\nbackend='echo'\nuse='echo'"
        ),
        "prompt": ECHO.replace('"none"', f'"{prompt}"'),
        "decoding.greedy": ECHO + f"[decoding.{long}]\n",
    }[part]

    with pytest.raises(ConfigError, match=r"name a folder together: .* bytes"):
        read(str(write_config(tmp_path, config)))


def test_a_file_with_a_long_name_can_be_set_aside(tmp_path: Path):
    """The names of its folders and its own together are longer than a name may be."""
    run = RunDir(tmp_path)
    path = run.generation("é" * 110, 0, 1)
    path.parent.mkdir(parents=True)
    path.write_text("cut short")

    moved = run.set_aside(path)

    assert moved.read_text() == "cut short"
    assert moved.name.endswith("-00000-of-00001.parquet")
