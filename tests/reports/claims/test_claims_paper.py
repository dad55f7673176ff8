"""Claims about printed tables: those of the paper that this suite repeats, and any numbers."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from empathy_core.types import Column
from reports.claims import manuscript
from reports.claims.citables import citables_of_published
from reports.claims.claim_files import read_toml
from reports.claims.evidence import Evidence, Measure, Score, Subject
from reports.claims.evidence_of_run import evidence_of_published
from reports.claims.judge import Judged, judge
from reports.claims.names import Names
from reports.claims.typed_numbers import find
from reports.tables.published import FOLDER, load
from tests.runs.command_line import SHARED

PAPER = Names(evidence_of_published(load("huang2024")))
FILE = FOLDER / "huang2024_claims.toml"
TEXT = SHARED.parent / "paper.md"

# ---------------------------------------------------------------------------- the paper

FALSE = {
    "LLaMA prompt2 is best among LLaMA on all": {
        ("bertscore_recall", "llama-3.1-8b-instruct.none"),
        ("bertscore_f1", "llama-3.1-8b-instruct.none"),
        ("similarity", "llama-3.1-8b-instruct.none"),
    },
    "similarity increases from LLaMA none to LLaMA prompt2, from 0.6331 to 0.6204": {
        ("similarity", "llama-3.1-8b-instruct.none"),
    },
    "T5 is worst on all": {
        (column, "flan-t5.none")
        for column in ("bleu", "rouge1", "rouge2", "rougeL", "bertscore_recall", "bertscore_f1",
                       "similarity")
    },
    "tuned < base on all": {("rougeL", "llama-3.1-8b-instruct.prompt2")},
    "LLaMA prompt2 is within 0.1 of Therapist on bleu": {("bleu", "therapist-baseline")},
}  # fmt: skip
"""The five contradictions → the columns, and the conditions that contradict."""
NOT_TESTABLE = {
    "LLaMA is not significantly different from LLaMA on all",
    "similarity significantly rises from FLAN-T5 none to FLAN-T5 prompt2",
}


@pytest.fixture(scope="module")
def judged() -> Mapping[str, Judged]:
    """Return claim → verdict of the file that ships."""
    read = read_toml(FILE)
    assert not read.problems
    return {claim.says: judge(claim.says, PAPER) for claim in read.claims}


def test_exactly_the_five_contradictions_are_flagged(judged: Mapping[str, Judged]):
    """Every other statement of the paper holds, or is about what a table cannot tell."""
    told = {says: found.verdict for says, found in judged.items()}

    assert {says for says, verdict in told.items() if verdict == "false"} == set(FALSE)
    assert {says for says, verdict in told.items() if verdict == "not testable"} == NOT_TESTABLE
    assert {told[s] for s in set(told) - set(FALSE) - NOT_TESTABLE} == {"true"}
    assert len(told) == 25


@pytest.mark.parametrize("says", FALSE)
def test_a_contradiction_names_what_contradicts(judged: Mapping[str, Judged], says: str):
    """Column by column, as in the printed tables."""
    against = [c for c in judged[says].checks if c.holds is False]

    assert {(c.measure.key, c.right) for c in against} == FALSE[says]


def test_the_two_sentences_on_t5_are_one_claim():
    """It is said twice, with both places quoted; no quote is a whole sentence."""
    entries = tomllib.loads(FILE.read_text(encoding="utf-8"))["claims"]
    quotes = {entry["says"]: entry.get("quote", []) for entry in entries}

    assert len(quotes["T5 is worst on all"]) == 2
    flat = [q for quote in quotes.values() for q in ([quote] if isinstance(quote, str) else quote)]
    assert max(len(q.split()) for q in flat) <= 10
    assert all(entry["where"] for entry in entries)


@pytest.mark.parametrize(
    ("says", "verdict"),
    [
        ("FLAN-T5 is more sensitive than LLaMA on all", "false"),  # BLEU: .0023 against .0026
        ("LLaMA Baseline = 0.1251 on rougeL", "true"),  # what Table 2 calls it
        ("LLaMA Fine-Tuned = 0.1267 on rougeL", "true"),
        ("T5 lags behind LLaMA on all", "true"),
        ("T5 lags behind FLAN-T5 prompt1 and FLAN-T5 prompt2 on all", "true"),
        ("T5 < FLAN-T5 none on bertscore_precision", "true"),
        ("T5 < FLAN-T5 none on all but bertscore", "false"),
        ("Therapist > LLaMA on similarity", "not testable"),
        ("tuned < base on similarity", "not testable"),
        ("T5 varies by less than 0.1 on bleu", "not testable"),
        ("LLaMA prompt3 > none on bleu", "error"),
        ("BERT > T5 on bleu", "error"),
    ],
)
def test_other_statements_about_the_paper(says: str, verdict: str):
    """What an attentive reader could say, and what cannot be said of these tables."""
    assert judge(says, PAPER).verdict == verdict


@pytest.mark.skipif(not TEXT.exists(), reason="the paper's text lies beside the repository only")
def test_every_number_of_the_papers_own_text_is_recognised(tmp_path: Path):
    """Tables and prose of sections 4.4 to 5.3; percentages of rows and splits are no results."""
    text = TEXT.read_text(encoding="utf-8")
    part = text[text.index("## 4.4") : text.index("## 5.4")].replace("%", "\\%")
    (tmp_path / "paper.tex").write_text(part, encoding="utf-8")

    found = find(manuscript.read(tmp_path / "paper.tex"), citables_of_published(PAPER.evidence))

    assert [t.text for t in found if t.same is None] == []
    known = [t for t in found if t.same]
    assert len(known) == 84
    assert all(t.n_same == 1 for t in known)
    assert all(t.named for t in known if t.same and ".bertscore_" not in t.same.key)
    table = PAPER.evidence.scores
    assert {t.same.key for t in known if t.same} == {".".join(at) for at in table}


# ---------------------------------------------------------------------------- any numbers

PROMPTS = ("none", "one", "two")
MEASURE = Measure("m", Column("m", "M"))


def printed(values: Mapping[tuple[str, str], int]) -> Names:
    """Return a table without rows; scores are whole thousandths."""
    subjects = tuple(Subject(f"{m}.{p}", (m,), (p,), m) for m, p in values)
    scores = {(s.key, "m"): Score(v / 1000) for s, v in zip(subjects, values.values(), strict=True)}
    return Names(Evidence("a table", subjects, (MEASURE,), scores))


tables = st.fixed_dictionaries(
    {(m, p): st.integers(0, 1000) for m in ("x", "y") for p in PROMPTS}
).map(printed)
keys = st.tuples(st.sampled_from("xy"), st.sampled_from(PROMPTS)).map(".".join)


def value(names: Names, key: str) -> float:
    """Return a score of the table."""
    return names.evidence.scores[key, "m"].value


@settings(max_examples=60)
@given(tables, keys, keys)
def test_a_comparison_is_the_comparison_of_its_numbers(names: Names, one: str, two: str):
    """As printed, and never two opposite claims at once."""
    assume(one != two)
    signs = {
        sign: judge(f"{one} {sign} {two} on m", names).verdict for sign in ("<", ">", "<=", ">=")
    }

    a, b = value(names, one), value(names, two)
    expected = {"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}
    assert signs == {sign: str(is_so).lower() for sign, is_so in expected.items()}


@settings(max_examples=60)
@given(tables)
def test_at_most_one_condition_is_best(names: Names):
    """None where two share the highest score."""
    scores = {s.key: value(names, s.key) for s in names.evidence.subjects}
    best = [k for k in scores if judge(f"{k} is best on m", names).verdict == "true"]

    top = [k for k, v in scores.items() if v == max(scores.values())]
    assert best == (top if len(top) == 1 else [])


@settings(max_examples=60)
@given(tables, st.integers(1, 999))
def test_a_range_is_highest_less_lowest(names: Names, bound: int):
    """Of the model's own prompts; both ways of the bound are complements but for equality."""
    mine = [value(names, f"x.{p}") for p in PROMPTS]
    spread = round(1000 * (max(mine) - min(mine)))

    less, more = (judge(f"x varies by {way} than 0.{bound:03} on m", names).verdict
                  for way in ("less", "more"))  # fmt: skip

    assert (less, more) == (str(spread < bound).lower(), str(spread > bound).lower())


@given(tables, keys)
def test_a_table_without_rows_tells_nothing_of_significance(names: Names, key: str):
    """A wrong direction is false all the same."""
    other = "x.none" if key != "x.none" else "y.none"
    found = judge(f"{key} significantly > {other} on m", names).verdict

    assert found == ("not testable" if value(names, key) > value(names, other) else "false")
