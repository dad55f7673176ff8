"""What stands in the cells: marks, labels, numbers, notes."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from empathy_core import store
from empathy_core.types import Column, Condition, Decoding, EngineSpec, ModelSpec
from jobs.planning import origins
from reports.build import build
from reports.labels import (
    answering_facts,
    decoding_words,
    dtype_words,
    engine_words,
    number,
    row_labels,
    short_signature,
    told_apart,
)
from reports.latex.table import fragment
from reports.numbers.aggregate import SUMMARY
from reports.numbers.significance import columns, rank
from reports.page import html
from reports.page import index as page
from reports.rows.collect import collect
from reports.spec import ReportSpec
from reports.tables import published
from reports.tables.table import Cell, Group, Head, Row, Span, Table, TableText, panels, score_table
from tests.runs.by_hand import FLAN, HUMAN, LLAMA, LLAMA2, N_SHARDS, Toy, condition, make, spec

HIGHER, LOWER = Column("a", "A"), Column("b", "B", better="lower")
KEY = "toy-00000000"


def _summary(scores: dict[Condition, tuple[float | None, int, int]]) -> pl.DataFrame:
    """Return a summary of one column: condition → score, rows scored, rows expected."""
    most = max((n for c, (_, n, _) in scores.items() if not c.model.is_human), default=0)
    rows = []
    for c, (score, n, want) in scores.items():
        ranked = not c.model.is_human and n == most
        rows.append(
            {
                "condition": c.id, "model": c.model.label, "prompt": c.prompt.label,
                "decoding": "greedy", "subset": "all", "metric": KEY, "column": "toy_overlap",
                "score": score, "n": n, "n_unscored": 0, "n_expected": want, "n_questions": n,
                "n_examples": n, "ranked": ranked,
                **dict.fromkeys(("common", "least", "most"), score if ranked else None),
            }
        )  # fmt: skip
    return pl.DataFrame(rows, schema=SUMMARY)


def _table(scores: dict[Condition, tuple[float | None, int, int]], stamp: str = "") -> Table:
    about = spec(*scores)
    wanted = columns(about, main=True)[0][:1]
    return score_table(_summary(scores), about, wanted, TableText("Caption.", "tab:x", (), stamp))


def _cells(table: Table) -> list[tuple[str, str]]:
    return [(c.text, c.mark) for g in table.groups for row in g.rows for c in row.cells]


def test_ties_share_their_mark():
    """Two rows with the best value are both bold, and the next value is second."""
    marks = rank({"w": 0.5, "x": 0.5, "y": 0.4, "z": 0.3}, HIGHER)

    assert marks == {"w": "best", "x": "best", "y": "second"}


def test_where_lower_is_better_the_lowest_is_best():
    """The column's direction decides."""
    assert rank({"x": 3.0, "y": 1.0, "z": 2.0}, LOWER) == {"y": "best", "z": "second"}


def test_nothing_is_marked_where_nothing_can_be_best():
    """Not in a column without direction, not for one row, not where all are equal."""
    assert rank({"x": 1.0, "y": 2.0}, replace(HIGHER, better=None)) == {}
    assert rank({"x": 1.0}, HIGHER) == {}
    assert rank({"x": 0.0, "y": 0.0}, HIGHER) == {}


def test_people_stand_first_and_are_not_ranked():
    """The therapists' row may exceed all models and bears no mark."""
    table = _table({LLAMA: (0.2, 40, 40), HUMAN: (0.9, 20, 20), FLAN: (0.1, 40, 40)})

    assert next((g.label, g.reference) for g in table.groups) == ("Therapist Baseline", True)
    assert _cells(table) == [("0.9000", ""), ("0.2000", "best"), ("0.1000", "second")]


def test_values_that_print_alike_are_marked_alike():
    """The ranks are those of the printed numbers."""
    table = _table({LLAMA: (0.20001, 40, 40), LLAMA2: (0.20003, 40, 40), FLAN: (0.1, 40, 40)})

    assert [mark for _, mark in _cells(table)] == ["best", "best", "second"]


def test_a_row_over_fewer_examples_is_not_ranked():
    """A mean over other questions is not comparable."""
    table = _table({LLAMA: (0.2, 40, 40), FLAN: (0.9, 10, 10), LLAMA2: (0.1, 40, 40)})

    assert _cells(table) == [("0.2000", "best"), ("0.1000", "second"), ("0.9000", "")]


def test_a_partial_table_marks_nothing():
    """Best of what happens to be there is not best."""
    table = _table({LLAMA: (0.2, 40, 40), FLAN: (0.1, 30, 40)}, "PARTIAL 70/80")

    assert [mark for _, mark in _cells(table)] == ["", ""]


def test_missing_and_not_applicable_are_told_apart():
    """A dash: nothing computed yet; N/A: the metric can score none of the rows."""
    waiting = _summary({LLAMA: (None, 0, 40)})
    refused = _summary({FLAN: (None, 0, 40)}).with_columns(n_unscored=pl.lit(40, dtype=pl.Int64))
    about = spec(LLAMA, FLAN)
    wanted = columns(about, main=True)[0][:1]
    table = score_table(pl.concat([waiting, refused]), about, wanted, TableText("", ""))

    assert [text for text, _ in _cells(table)] == ["–", "N/A"]  # noqa: RUF001 - an en dash


@pytest.mark.parametrize(
    ("value", "column", "signed", "printed"),
    [
        (0.01394, HIGHER, False, "0.0139"),
        (-0.00001, HIGHER, False, "0.0000"),
        (-0.00001, HIGHER, True, "0.0000"),
        (0.0012, HIGHER, True, "+0.0012"),
        (-0.0012, HIGHER, True, "−0.0012"),  # noqa: RUF001 - a minus sign
        (0.031, replace(HIGHER, percent=True, decimals=1), False, "3.1%"),
        (1234.5, replace(HIGHER, decimals=1), False, "1,234.5"),
        (None, HIGHER, False, "–"),  # noqa: RUF001 - an en dash
    ],
)
def test_numbers_are_printed_one_way(value, column, signed, printed):
    """Decimals, percent and sign as the column says; zero has no sign."""
    assert number(value, column, signed=signed) == printed


def test_rows_are_told_apart_by_no_more_than_they_need():
    """The prompt alone; the decoding only where one prompt appears under two."""
    hot = Decoding("hot", sample=True)
    plain, sampled = condition("a", "A", "prompt1"), condition("a", "A", "prompt1", decoding=hot)
    other = condition("b", "B", "prompt1")

    labels = row_labels([plain, sampled, other, HUMAN])

    assert list(labels.values()) == ["Prompt 1, greedy", "Prompt 1, hot", "Prompt 1", ""]


def test_two_models_under_one_label_bear_their_names():
    """Or the rows of one would stand below the other's; people and others keep their labels."""
    one, two = condition("a", "Echo", "prompt1"), condition("b", "Echo", "prompt2")

    told = told_apart([one, two, FLAN, HUMAN])

    labels = [c.model.label for c in told]
    assert labels == ["Echo (a)", "Echo (b)", FLAN.model.label, HUMAN.model.label]
    assert [c.id for c in told] == [one.id, two.id, FLAN.id, HUMAN.id]


def test_two_weights_under_one_label_are_told_apart():
    """Where nothing readable differs, the hash of the condition does."""
    one, two = LLAMA, replace(LLAMA, fingerprint="other weights")

    labels = row_labels([one, two])

    assert len(set(labels.values())) == 2
    assert labels[one.id] == f"Prompt 1, {one.id[-8:]}"


def test_columns_are_packed_into_panels_metric_by_metric():
    """No panel is wider than a page, and a metric is cut only if it is wider itself."""
    sizes = [3, 4, 2, 19]
    metrics = [[(str(i), HIGHER)] * size for i, size in enumerate(sizes)]

    found = panels(metrics)

    assert [len(panel) for panel in found] == [7, 2, 7, 7, 5]


def test_a_decoding_is_told_in_words():
    """Only what applies and differs from the default is named."""
    hot = Decoding(
        "hot", max_new_tokens=64, sample=True, temperature=0.7, top_p=0.9, samples=3, seed=5
    )

    assert decoding_words(Decoding()) == "greedy, at most 256 new tokens"
    assert decoding_words(hot) == (
        "sampled at temperature 0.7, seed 5, top-p 0.9, 3 samples a question, at most 64 new tokens"
    )


@pytest.mark.parametrize(
    ("model", "found", "words"),
    [
        ({}, {}, ("chat template", "applied")),
        (
            {"template_arguments": (("enable_thinking", False), ("level", "low"))}, {},
            ("chat template", 'applied, enable_thinking = false, level = "low"'),
        ),
        (
            {"fold_system": True, "template_default": "keep"}, {},
            ("chat template", "applied, system message put before the user's words, "
                "its default system text kept"),
        ),
        (
            {}, {"reasoning": ("<think>", "</think>\n")},
            ("reasoning, not scored", "between <think> and </think>"),
        ),
        (
            {}, {"structure": (("bad_words_ids", "[[5]]"), ("forced_bos_token_id", "4"))},
            ("settings of the checkpoint", "bad_words_ids = [[5]], forced_bos_token_id = 4"),
        ),
    ],
    ids=lambda value: "-".join(value) or "none",
)  # fmt: skip
def test_what_changes_prompts_and_answers_is_told(
    model: dict[str, object], found: dict[str, object], words: tuple[str, str]
):
    """By the page and by ``explain``: two conditions that differ in it alone look otherwise."""
    asked = replace(LLAMA, chat=True, model=replace(LLAMA.model, **model), **found)
    plan: Any = SimpleNamespace(finetune_of=lambda _: None)
    about: Any = SimpleNamespace(adapters={})
    counts: Any = SimpleNamespace(n_answered=3, n_expected=3, n_complete=3)

    assert words in list(answering_facts(asked))
    assert words in list(origins.of_condition(plan, asked))
    assert words in list(page._answering(asked, counts, about))


def test_a_short_signature_leaves_out_versions_and_digests():
    """What a reader needs stays; the page has the whole."""
    full = "model:bert-base|layer:9|idf:no|weights:0123456789abcdef|bert_score:0.3.13|scale:0-1"

    assert short_signature(full) == "model bert-base; layer 9; idf no; scale 0-1"


@pytest.mark.parametrize("setting", ["min_mass:0.2", "share:0.25", "p:0.9", "min_mass:1"])
def test_a_setting_with_a_decimal_is_no_version(setting: str):
    """What counts as an answer decides which ratings are missing: a reader needs it."""
    full = f"rubric:key|{setting}|transformers:5.23.0|torch:2.13.0+cpu"

    assert short_signature(full) == f"rubric key; {setting.replace(':', ' ')}"


# ---------------------------------------------------------------------------- notes


def _notes(tmp_path, about: ReportSpec, **kwargs) -> str:
    run = make(tmp_path / "run", about, **kwargs)
    return " ".join(build(collect(run, about), about).sections[0].tables[0].words.sentences)


def test_the_notes_say_what_a_reader_must_know(tmp_path):
    """n, split, decoding, marks, assumptions, extra sentences and signatures."""
    about = spec(
        assumed=(("models.t5.use", "t5_base"),), notes=("The therapists' row holds duplicates.",)
    )

    notes = _notes(tmp_path, about)

    assert "40 examples of the test split. n = 40 answers a row; n = 20 for Therapist" in notes
    assert "Decoding: greedy, at most 64 new tokens." in notes
    assert "Therapist Baseline is a reference and is not ranked." in notes
    assert "Assumed, since the paper does not say: models.t5.use = t5_base." in notes
    assert "The therapists' row holds duplicates." in notes
    assert "Metrics: toy (metric toy; tok split)." in notes


def test_the_notes_count_empty_and_unscored_answers(tmp_path):
    """What is missing inside a row has its count in the note."""
    about = spec(LLAMA, FLAN, metrics={KEY: Toy(unscored="")})

    def answer(made_by: Condition, row: int, sample: int) -> str:
        return "" if made_by is FLAN and row < 4 else "w0 text"

    assert "Empty answers: FLAN-T5 (base), Prompt 1 10.0%." in _notes(
        tmp_path, about, answer=answer
    )


def test_the_notes_count_special_tokens_and_reasoning_without_an_answer(tmp_path):
    """What decoding left out of an answer is said by the main table, with counts."""
    about = spec(LLAMA, FLAN)
    run = make(tmp_path / "run", about, answer=lambda *_: "")
    path = run.generation(FLAN.id, 0, N_SHARDS)
    piece, frame = store.read_piece(path)
    first = pl.int_range(pl.len()) < 3
    changed = {
        name: pl.when(first).then(1).otherwise(0).cast(pl.Int32)
        for name in ("n_special_tokens", "n_thought_tokens")
    }
    store.write_piece(frame.with_columns(**changed), path, piece.tags)

    found = collect(run, about, partial=True)
    notes = " ".join(build(found, about).sections[0].tables[0].words.sentences)

    assert "Special tokens in answers (removed): FLAN-T5 (base), Prompt 1 3 of 40." in notes
    assert "without an answer (counted as empty): FLAN-T5 (base), Prompt 1 3 of 40." in notes


def test_the_notes_count_rows_that_a_metric_left_out(tmp_path):
    """An unscored row does not enter the mean, and the note says how many there are."""
    about = spec(LLAMA, FLAN, metrics={KEY: Toy(unscored="skip")})

    def answer(made_by: Condition, row: int, sample: int) -> str:
        return "skip" if made_by is FLAN and row < 4 else "w0 text"

    notes = _notes(tmp_path, about, answer=answer)

    assert "Not scored by toy: FLAN-T5 (base), Prompt 1 4 of 40." in notes


# ---------------------------------------------------------------------------- published values


def test_the_paper_is_typed_in_as_it_prints():
    """Eight rows of eight values, one of them N/A, and Table 2."""
    paper = published.load("huang2024")
    first, second = paper.tables
    n_values = [len(row.values) for row in first.rows]

    assert n_values == [7, 8, 8, 8, 8, 8, 8, 8]
    assert [row.values["bleu"] for row in first.rows] == [
        0.4362, 0.0113, 0.0134, 0.0139, 0.0, 0.0023, 0.0021, 0.0015,
    ]  # fmt: skip
    assert [len(row.values) for row in second.rows] == [5, 5]
    assert all(c.name in {c.name for c in paper.columns} for r in first.rows for c in paper.columns)


def test_our_values_stand_below_the_published_ones_with_the_difference():
    """The difference is that of the printed numbers; where we have none, the paper stands alone."""
    paper = published.load("huang2024")
    rows = _summary({LLAMA2: (0.01452, 40, 40)}).with_columns(column=pl.lit("bleu"))

    table = published.published_tables(paper, rows, spec(LLAMA2), TableText("", "tab:p"))[0]

    lines = {g.label: [(r.stubs, r.cells[0].text) for r in g.rows] for g in table.groups}
    assert lines["LLaMA 3.1 8B Instruct"][2:] == [
        (("Prompt 2", "paper"), "0.0139"),
        (("", "this run"), "0.0145"),
        (("", "difference"), "+0.0006"),
    ]
    assert lines["T5"] == [(("No Prompt", "paper"), "0.0015")]


def test_the_therapists_row_is_compared_whatever_its_prompt_is_called():
    """The paper's row has no prompt; ours bears one for form's sake."""
    paper = published.load("huang2024")
    rows = _summary({HUMAN: (0.0236, 20, 20)}).with_columns(column=pl.lit("bleu"))

    table = published.published_tables(paper, rows, spec(HUMAN), TableText("", "tab:p"))[0]

    assert table.groups[0].rows[2].cells[0].text == "−0.4126"  # noqa: RUF001 - a minus sign


def test_a_heading_over_one_column_is_broken_into_lines():
    """It names rubric and judge; on one line it would be as wide as four columns of numbers."""
    judge = "EmotionQueen, uncalibrated (judge: SmolLM2-135M-Instruct)"
    rows = (Row(("None",), (Cell("0.80"),)),)
    table = Table(
        TableText("Scores.", "tab:one"), ("Model", "Prompts"), (Span(judge, 3, 3),),
        (Head(("Key",)),), (Group("A", rows),),
    )  # fmt: skip

    lines = table.spans[0].lines
    assert " ".join(lines) == judge
    assert max(map(len, lines)) <= 24
    assert Span(judge, 3, 9).lines == (judge,)
    assert "<br>".join(lines) in html.table_page([table], "T", "")
    assert rf"\reportlines{{{lines[0]}\\" in fragment([table])


def test_a_file_of_weights_that_an_engine_reads_is_named_and_its_form_not_claimed():
    """llama.cpp reads a quantised file: the configuration's float32 is not what it computes in."""
    digest = "0123456789abcdef" * 4
    engine = EngineSpec(
        name="llama_cpp", weights_file="/models/small.Q4.gguf",
        command=("llama-server", "--model", "{weights_file}"),
        versions=(("program", "version: 9931"), ("weights_file", digest)),
    )  # fmt: skip
    served = ModelSpec("m", "M", "hf", "decoder", "w", dtype="float32", engine=engine)

    assert engine_words(engine) == "llama_cpp (version: 9931, small.Q4.gguf 0123456789ab)"
    assert dtype_words(served) == "that of small.Q4.gguf"
    assert dtype_words(replace(served, engine=replace(engine, command=("vllm",)))) == "float32"
    assert dtype_words(replace(served, engine=None)) == "float32"
