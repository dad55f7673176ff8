"""The language of claims: what its forms mean, what names mean, what is refused and how."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.errors import ConfigError
from empathy_core.types import Column, Condition, Decoding
from empathy_core.visible import nothing_visible
from reports.claims.evidence import Evidence, Measure, Subject
from reports.claims.evidence_of_run import evidence_of_run
from reports.claims.grammar import FORMS, parse
from reports.claims.names import Names
from reports.claims.statements import (
    Alike,
    Amount,
    Compare,
    Digits,
    Extreme,
    FromTo,
    Sensitive,
    Varies,
    Within,
)
from reports.labels import full_name, row_labels
from reports.numbers.aggregate import SUMMARY
from reports.numbers.pairs import PAIRS
from reports.tables.table import ARROWS, line_label
from tests.runs.by_hand import HUMAN, Toy, condition, spec

# ---------------------------------------------------------------------------- forms

A, B = "llama.prompt2", "FLAN-T5, Prompt 1"


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("{A} > {B} on rouge1", Compare(A, ">", B, "rouge1")),
        ("{A} on rouge1 > {B}", Compare(A, ">", B, "rouge1")),
        ("{A} \N{GREATER-THAN OR EQUAL TO} {B} on m", Compare(A, ">=", B, "m")),
        ("{A} is higher than {B} on m, n", Compare(A, ">", B, "m, n")),
        ("{A} lags behind {B} on all", Compare(A, "worse", B, "all")),
        ("{A} < {B} under each prompt on m", Compare(A, "<", B, "m", same_prompt=True)),
        ("{A} is significantly better than {B} on m", Compare(A, "better", B, "m", False, True)),
        ("{A} = 0.2675 on m", Amount(A, "=", Digits.of("0.2675"), "m")),
        ("{A} on m = 26.75%.", Amount(A, "=", Digits.of("26.75%"), "m")),
        ("{A} is at most .3 on m", Amount(A, "<=", Digits.of(".3"), "m")),
        ("{A} best on m", Extreme(A, "best", "", "m")),
        ("{A} is the worst among {B} on all", Extreme(A, "worst", B, "all")),
        ("m increases from {A} to {B}", FromTo(">", A, B, (None, None), "m")),
        (
            "m falls significantly from {A} (0.5) to {B}",
            FromTo("<", A, B, (Digits.of("0.5"), None), "m", True),
        ),
        (
            "m worsens from {A} to {B}, from 1.5 to 0.5",
            FromTo("worse", A, B, (Digits.of("1.5"), Digits.of("0.5")), "m"),
        ),
        ("{A} varies by less than 0.01 on m", Varies(A, "<", Digits.of("0.01"), "m")),
        ("{A} varies little (by less than 1%) on m", Varies(A, "<", Digits.of("1%"), "m")),
        ("{A} is prompt-agnostic within 0.01 on m", Varies(A, "<", Digits.of("0.01"), "m")),
        ("{A} varies by more than 1 on m", Varies(A, ">", Digits.of("1"), "m")),
        ("{A} is more sensitive than {B} on m", Sensitive(A, B, "m")),
        ("{A} is less prompt-sensitive than {B} on m", Sensitive(B, A, "m")),
        ("{A} is within 0.05 of {B} on m", Within(A, Digits.of("0.05"), B, "m")),
        ("{A} is comparable to {B} within 0.05 on m", Within(A, Digits.of("0.05"), B, "m")),
        ("{A} is not significantly different from {B} on m", Alike(A, B, "m")),
    ],
)
def test_every_form_is_read(says: str, expected: object):
    """Whatever the case of its words and the blanks between them."""
    assert parse(says.format(A=A, B=B)) == expected
    shouted = says.upper().format(A=A, B=B).replace(" ", "  ")
    assert repr(parse(shouted)).lower() == repr(expected).lower()


def test_the_forms_that_are_shown_can_be_read():
    """Help and error messages show nothing that the grammar refuses."""
    for form in FORMS:
        parse(form.shown.replace("[", "").replace("]", ""))
        parse(form.shown.replace("[significantly] ", ""))


NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,6}([._][a-z0-9]{1,5})?", fullmatch=True)
RESERVED = {"on", "is", "from", "to", "the", "not", "of", "and", "under"}


@given(
    NAME.filter(lambda n: n.lower() not in RESERVED),
    NAME.filter(lambda n: n.lower() not in RESERVED),
    st.sampled_from(["<", ">", "<=", ">="]),
    st.booleans(),
)
def test_names_come_through_unchanged(one: str, two: str, sign: str, sure: bool):
    """Keys are names; whatever they are, they stand where they stood."""
    says = f"{one} {'significantly ' * sure}{sign} {two} on m1, m2"

    assert parse(says) == Compare(one, sign, two, "m1, m2", False, sure)


@given(st.text(max_size=40))
def test_no_text_breaks_the_grammar(text: str):
    """It is read, or refused with the text and an example."""
    try:
        parse(text)
    except ConfigError as error:
        assert str(error)  # noqa: PT017  either way is right


@pytest.mark.parametrize(
    ("says", "match"),
    [
        ("A beets B on m", "did you mean 'beats'"),
        ("m increase from A to B", "did you mean 'increases'"),
        ("A>B on m", "blanks around the sign"),
        ("A > B", "on which column"),
        ("A is prompt-agnostic on m", "how much is meant: A varies by less than"),
        ("A varies little on m", "how much is meant"),
        ("A is comparable to B on m", "how much is meant: A is within"),
        ("A = B on m", "'=' needs a number"),
        ("A better than 0.2 on m", "a number after 'better than'"),
        ("A significantly = 0.2 on m", "where there is a test"),
        ("A significantly within 0.1 of B on m", "where there is a test"),
        ("A is not different from B on m", "not significantly different"),
        ("m rises from A (0.1) to B, from 0.1 to 0.2", "are given twice"),
        ("", "expected for example"),
    ],
)
def test_what_fits_no_form_is_told_with_the_nearest(says: str, match: str):
    """A mistake is never taken for another claim."""
    with pytest.raises(ConfigError) as refused:
        parse(says)

    assert match in str(refused.value)


# ---------------------------------------------------------------------------- digits

SCORE = Column("bleu", "BLEU")
SHARE = Column("empty", "Empty", percent=True, decimals=1)


@given(st.floats(0, 1), st.integers(0, SCORE.decimals))
def test_every_rounding_of_a_value_is_taken_for_it(value: float, decimals: int):
    """And the next number of as many digits is not."""
    text = f"{value:.{decimals}f}"
    step = 10.0**-decimals

    assert Digits.of(text).is_rounding_of(value, SCORE)
    assert not Digits.of(f"{float(text) + 2 * step:.{decimals}f}").is_rounding_of(value, SCORE)


def test_a_rounding_of_what_the_table_prints_is_right_too():
    """An author sees 0.2675 and writes 0.268, though the value is 0.26746."""
    assert Digits.of("0.268").is_rounding_of(0.26746, SCORE)
    assert Digits.of("0.267").is_rounding_of(0.26746, SCORE)
    assert not Digits.of("0.269").is_rounding_of(0.26746, SCORE)


@pytest.mark.parametrize(("text", "right"), [("12.5%", True), ("12.5", True), ("0.125", True),
                                             ("13%", True), ("12.6%", False)])  # fmt: skip
def test_percentages_may_bear_their_sign_or_not(text: str, right: bool):
    """Under a column that is printed in percent."""
    assert Digits.of(text).is_rounding_of(0.1254 if text == "13%" else 0.125, SHARE) is right


# ---------------------------------------------------------------------------- names


def subject(model: Sequence[str], prompt: Sequence[str], **changes: bool) -> Subject:
    """Return a condition; its key is made of the first names."""
    key = ".".join((model[0], *prompt[:1]))
    return Subject(key, tuple(model), tuple(prompt), model[0], **changes)


NONE, ONE, TWO = ("none", "No Prompt"), ("prompt1", "Prompt 1"), ("prompt2", "Prompt 2")
LLAMA = ("llama3", "LLaMA 3.1 8B Instruct", "LLaMA 3.1 8B Instruct")
FOUR_BIT = ("llama3_nf4", "LLaMA 3.1 8B Instruct (4-bit)")
FLAN, T5 = ("flan", "FLAN-T5 (base)", "FLAN-T5"), ("t5", "T5 (base)", "T5")
SUBJECTS = (
    subject(("therapist", "Therapist Baseline"), (), human=True),
    *(subject(LLAMA, prompt) for prompt in (NONE, ONE, TWO)),
    *(subject(FLAN, prompt) for prompt in (NONE, ONE)),
    subject(T5, NONE),
    subject(("llama-n525", "LLaMA fine-tuned, n = 525"), TWO, tuned=True),
)
MEASURES = (
    Measure("bleu", Column("bleu", "BLEU")),
    Measure("rouge1", Column("rouge1", "ROUGE-1")),
    Measure("rougeL", Column("rougeL", "ROUGE-L")),
    Measure("bertscore_f1", Column("bertscore_f1", "F1", group="BERTScore")),
    Measure("similarity", Column("similarity", "Sentence Transformer (MiniLM)")),
    Measure("words", Column("words", "Words", None), main=False),
)
EVIDENCE = Evidence(
    "test", SUBJECTS, MEASURES, {}, bases={"llama-n525.prompt2": ("llama3.prompt2",)}
)
NAMES = Names(EVIDENCE, {"ours": "llama-n525.prompt2", "ST": "similarity", "Meta": "LLaMA"})


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("llama3.prompt2", "llama3.prompt2"),
        ("LLAMA3.Prompt2", "llama3.prompt2"),
        ("llama prompt2", "llama3.prompt2"),
        ("LLaMA 3.1 8B Instruct, Prompt 2", "llama3.prompt2"),
        ("the LLaMA under No Prompt", "llama3.none"),
        ("llama", "llama3.none llama3.prompt1 llama3.prompt2"),
        ("T5", "t5.none"),
        ("FLAN-T5 with prompt 1", "flan.prompt1"),
        ("flan", "flan.none flan.prompt1"),
        ("Therapist", "therapist"),
        ("tuned", "llama-n525.prompt2"),
        ("Fine-Tuned prompt2", "llama-n525.prompt2"),
        ("base", "llama3.prompt2"),
        ("ours", "llama-n525.prompt2"),
        ("Meta prompt1", "llama3.prompt1"),
        ("T5 and FLAN-T5 none", "t5.none flan.none"),
        ("every model none", "llama3.none flan.none t5.none"),
    ],
)
def test_a_condition_answers_to_what_people_call_it(words: str, keys: str):
    """Its key, its model's names or their beginning, and its prompt's."""
    assert [s.key for s in NAMES.conditions(words).subjects] == keys.split()


def test_the_second_condition_may_leave_out_the_model():
    """Then it is the first one's, each of several with its own."""
    left = NAMES.conditions("llama prompt2 and flan prompt1").subjects
    right = NAMES.conditions("none", left)

    assert [s.key for s in right.subjects] == ["llama3.none", "flan.none"]
    assert right.with_own == "model"


def test_a_shortened_name_never_means_a_fine_tune():
    """But the exact label does, and the beginning of one does where nothing else begins so."""
    found = NAMES.conditions("LLaMA fine-tuned, n = 525").subjects
    alone = Names(Evidence("test", SUBJECTS[-1:], MEASURES, {})).conditions("llama").subjects

    assert [s.key for s in (*found, *alone)] == ["llama-n525.prompt2"] * 2


def test_two_models_of_one_name_are_told_apart_by_the_author():
    """Nothing is guessed; an exact name beats the beginning of another's."""
    names = Names(Evidence("test", (*SUBJECTS, subject(FOUR_BIT, TWO)), MEASURES, {}))

    with pytest.raises(ConfigError, match=r"llama3.prompt2, llama3_nf4.prompt2.*\[names\]"):
        names.conditions("LLaMA prompt2")
    assert names.conditions("LLaMA 3.1 8B Instruct prompt2").subjects[0].key == "llama3.prompt2"


@pytest.mark.parametrize(
    ("words", "near"), [("LLaMA promt2", "llama3.prompt2"), ("flam none", "flan.none")]
)
def test_an_unknown_condition_is_told_with_the_nearest_and_with_all(words: str, near: str):
    """So that the next try is right."""
    with pytest.raises(ConfigError) as refused:
        NAMES.conditions(words)

    assert f"The nearest: {near}" in str(refused.value)
    assert all(s.key in str(refused.value) for s in SUBJECTS)


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("rouge1", "rouge1"),
        ("ROUGE-1, bleu", "rouge1 bleu"),
        ("ROUGE", "rouge1 rougeL"),
        ("F1 and BERTScore F1", "bertscore_f1"),
        ("Sentence Transformer", "similarity"),
        ("st", "similarity"),
        ("words", "words"),
        ("all", "bleu rouge1 rougeL bertscore_f1 similarity"),
        ("all but ROUGE", "bleu bertscore_f1 similarity"),
        ("most", "bleu rouge1 rougeL bertscore_f1 similarity"),
    ],
)
def test_columns_answer_to_names_and_headings(words: str, keys: str):
    """``all`` are the main ones."""
    assert [m.key for m in NAMES.columns(words).measures] == keys.split()


@pytest.mark.parametrize("words", ["ruge1", "rouge1, ruge1", "all but ruge1", ","])
def test_an_unknown_column_is_refused(words: str):
    """With what there is."""
    with pytest.raises(ConfigError, match="bertscore_f1"):
        NAMES.columns(words)


# ---------------------------------------------------------------------------- as printed

SMOL = condition("smollm2", "SmolLM2-135M-Instruct")
HOT = Decoding("hot", sample=True)
TWICE = (
    SMOL, replace(SMOL, decoding=HOT), condition("smollm2", SMOL.model.label, "prompt1"),
    condition("other", SMOL.model.label, "prompt2"), condition("plus", "C++", "prompt1"),
    condition("sharp", "C#", "prompt1"), condition("bloke", "The Bloke, 7B and more", "prompt1"),
    HUMAN,
)  # fmt: skip


def of_run(*conditions: Condition, metrics: Mapping[str, Toy] | None = None) -> Names:
    """Return the names of a run without numbers."""
    about = spec(*conditions, metrics=metrics)
    return Names(evidence_of_run(about, pl.DataFrame(schema=SUMMARY), pl.DataFrame(schema=PAIRS)))


@pytest.mark.parametrize("written", [str, str.upper, str.lower, lambda text: text.replace(",", "")])
def test_a_condition_answers_to_what_tables_print(written: Callable[[str], str]):
    """Model's label, prompt's, decoding where the tables have it; whatever the case."""
    labels = row_labels(TWICE)

    for one in TWICE:
        said = written(full_name(one, labels))
        assert meant(of_run(*TWICE), said) == [one.id], said


def meant(names: Names, words: str) -> list[str]:
    """Return the ids of the conditions that *words* mean among ``TWICE``."""
    ids = {spec(*TWICE).keys().condition(c.id): c.id for c in TWICE}
    return [ids[s.key] for s in names.conditions(words).subjects]


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("SmolLM2\N{NON-BREAKING HYPHEN}135M\N{EN DASH}Instruct, No Prompt, greedy", "none.greedy"),
        ("SmolLM2--135M-Instruct, No\N{NO-BREAK SPACE}Prompt, hot", "none.hot"),
        ("SmolLM2-135M-Instruct under No Prompt, greedy", "none.greedy"),
        ("smollm2 none, hot", "none.hot"),
        ("smollm2 No Prompt greedy", "none.greedy"),
        ("smollm2 prompt1 greedy", "prompt1"),
    ],
)
def test_typographic_variants_are_the_same_name(words: str, keys: str):
    """Dashes, blanks and commas; a decoding may be named where no table needs it."""
    names = of_run(*TWICE)

    assert [s.key for s in names.conditions(words).subjects] == [f"smollm2.{keys}"]


def test_the_second_row_of_a_model_may_be_named_by_its_row_alone():
    """As it stands in the table below the model."""
    names = of_run(*TWICE)
    left = names.conditions("smollm2 No Prompt, greedy").subjects
    (right,) = names.conditions("No Prompt, hot", left).subjects

    assert right.key == "smollm2.none.hot"


@pytest.mark.parametrize(
    ("words", "candidates"),
    [
        ("C prompt1", ("plus.prompt1", "sharp.prompt1")),
        ("smollm2 No Prompt", ("smollm2.none.greedy", "smollm2.none.hot")),
        ("SMOLLM2NONEHOT and C", ("plus.prompt1", "sharp.prompt1")),
    ],
)
def test_what_may_be_several_is_refused_with_the_candidates(words: str, candidates: Sequence[str]):
    """Nothing is guessed."""
    with pytest.raises(ConfigError) as refused:
        of_run(*TWICE).conditions(words)

    assert all(key in str(refused.value) for key in candidates)


SEEN = st.text(max_size=8).filter(lambda label: not nothing_visible(label))


@given(st.lists(st.tuples(SEEN, st.sampled_from(["none", "prompt1"])),
                min_size=1, max_size=4, unique=True))  # fmt: skip
def test_a_printed_name_never_means_another_condition(drawn: list[tuple[str, str]]):
    """Whatever the labels: the one that is printed so, or a refusal."""
    conditions = [condition(f"m{i}", of, prompt) for i, (of, prompt) in enumerate(drawn)]
    names, labels = of_run(*conditions), row_labels(conditions)
    keys = spec(*conditions).keys()

    for one in conditions:
        try:
            found = names.conditions(full_name(one, labels)).subjects
        except ConfigError:
            continue
        assert [s.key for s in found] == [keys.condition(one.id)]


COLUMNS = (
    Column("rouge1", "ROUGE-1"), Column("bert_f1", "F1", group="BERTScore"),
    Column("perplexity", "Perplexity, by GPT-2 and more", "lower"), Column("a_f1", "F1", group="A"),
)  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("of", [line_label, lambda c: f"{c.group} {c.label} {ARROWS[c.better]}",
                                lambda c: f"{c.group} {c.label} $\\downarrow$"])  # fmt: skip
def test_a_column_answers_to_what_tables_print(column: Column, of: Callable[[Column], str]):
    """With its group in brackets or above it, and with its arrow."""
    names = Names(Evidence("test", SUBJECTS, tuple(Measure(c.name, c) for c in COLUMNS), {}))
    said = parse(f"{A} > {B} on {of(column)}").on

    assert [m.key for m in names.columns(said).measures] == [column.name]


def test_a_heading_of_several_columns_is_refused_with_their_keys():
    """``F1`` alone says too little."""
    names = Names(Evidence("test", SUBJECTS, tuple(Measure(c.name, c) for c in COLUMNS), {}))

    with pytest.raises(ConfigError, match=r"'F1' is the name of several columns: bert_f1, a_f1"):
        names.columns("rouge1, F1")
