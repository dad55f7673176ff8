"""Verdicts, on small runs whose answers differ, or do not, by construction."""

import json
from pathlib import Path
from zlib import crc32

import pytest

from empathy_core.types import Condition
from reports.claims.citables import citables_of_run
from reports.claims.claim_files import Claim
from reports.claims.evidence import Evidence
from reports.claims.evidence_of_run import evidence_of_run
from reports.claims.findings import Checked, Findings, as_json
from reports.claims.judge import Judged, judge
from reports.claims.manuscript import Place
from reports.claims.names import Names
from reports.claims.show import text
from reports.claims.suggest import suggest
from reports.numbers.aggregate import aggregate
from reports.numbers.prompt_effects import spreads
from reports.numbers.results import results
from reports.rows.collect import collect
from reports.spec import ReportSpec
from tests.runs.adapters_by_hand import finetuned_spec, planted
from tests.runs.by_hand import FLAN, HUMAN, LLAMA, LLAMA2, Toy, condition, make, spec

FLAN2 = condition("flan_t5", "FLAN-T5 (base)", "prompt2", "FLAN-T5")
KNOWN = {LLAMA.id: 4, LLAMA2.id: 6, FLAN.id: 2, FLAN2.id: 2, HUMAN.id: 8}


def planned(made_by: Condition, row: int, sample: int) -> str:
    """Return ten words, some of the reference's, one more or less by the row's own noise."""
    known = KNOWN[made_by.id] + crc32(f"{made_by.prompt.name} {row}".encode()) % 3 - 1
    return " ".join([*(f"w{i}" for i in range(known)), *(f"x{i}" for i in range(10 - known))])


def evidence(root: Path, about: ReportSpec, **changes: object) -> Evidence:
    """Return the numbers of a run that is written for it."""
    run = make(root, about, **changes)  # type: ignore[arg-type]
    collected = collect(run, about, partial=True)
    found = aggregate(collected, about)
    return evidence_of_run(about, found.summary, found.pairs, spreads(collected, about), "a run")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Names:
    """Return 120 answers of each of five conditions: differences that are, and one that is not."""
    about = spec(HUMAN, LLAMA, LLAMA2, FLAN, FLAN2)
    return Names(evidence(tmp_path_factory.mktemp("run") / "run", about, answer=planned, n=120))


@pytest.mark.parametrize(
    ("says", "verdict"),
    [
        ("LLaMA prompt2 > prompt1 on overlap", "true"),
        ("LLaMA prompt2 significantly > prompt1 on overlap", "true"),
        ("LLaMA prompt1 > prompt2 on overlap", "false"),
        ("LLaMA > FLAN-T5 on overlap", "true"),
        ("LLaMA > FLAN-T5 under each prompt on overlap", "true"),
        ("LLaMA > FLAN-T5 on all", "false"),  # of equal length: words are no more
        ("LLaMA >= FLAN-T5 on words", "true"),
        ("LLaMA prompt2 is best on overlap", "true"),
        ("prompt2 is best among LLaMA on overlap", "true"),
        ("LLaMA prompt1 is best on overlap", "false"),
        ("FLAN-T5 is worst on overlap", "true"),
        ("every model < Therapist on overlap", "true"),
        ("overlap increases from LLaMA prompt1 to prompt2", "true"),
        ("overlap improves from LLaMA prompt1 to prompt2", "true"),
        ("overlap decreases from LLaMA prompt1 to prompt2", "false"),
        ("LLaMA is more sensitive than FLAN-T5 on overlap", "true"),
        ("LLaMA is significantly more sensitive than FLAN-T5 on overlap", "true"),
        ("FLAN-T5 is more sensitive than LLaMA on overlap", "false"),
        ("FLAN-T5 varies by less than 0.1 on overlap", "true"),
        ("LLaMA varies by less than 0.1 on overlap", "false"),
        ("LLaMA varies by more than 0.1 on overlap", "true"),
        ("FLAN-T5 prompt1 is within 0.1 of prompt2 on overlap", "true"),
        (
            "FLAN-T5 prompt1 is not significantly different from prompt2 on overlap",
            "cannot be told",
        ),  # no margin is declared
        ("LLaMA prompt1 is not significantly different from prompt2 on overlap", "false"),
        ("LLaMA prompt2 > 0.5 on overlap", "true"),
        ("LLaMA prompt2 < 0.5 on overlap", "false"),
        ("LLaMA = 10.0 on words", "true"),
        ("LLaMA = 10.1 on words", "false"),
        ("Therapist varies by less than 0.1 on overlap", "not testable"),
    ],
)
def test_what_the_answers_are_made_to_show_is_found(run: Names, says: str, verdict: str):
    """LLaMA is above FLAN-T5 and its second prompt above its first; FLAN-T5's are alike."""
    found = judge(says, run)

    assert (found.verdict, says) == (verdict, says), found.reason


def test_a_difference_by_chance_is_true_and_not_significant(run: Names):
    """Either direction is wrong or unproven, and who claims significance is wrong."""
    ways = [f"FLAN-T5 {one} > {two} on overlap" for one, two in
            (("prompt1", "prompt2"), ("prompt2", "prompt1"))]  # fmt: skip
    verdicts = {judge(says, run).verdict: says for says in ways}

    assert set(verdicts) == {"false", "not significant"}
    found = judge(verdicts["not significant"], run)
    assert found.reason == "it may be due to chance"
    assert found.checks[0].gap.p is not None
    assert found.checks[0].gap.p >= 0.05
    sure = judge(verdicts["not significant"].replace(" >", " significantly >"), run)
    assert (sure.verdict, sure.reason) == (
        "false", "the direction is right, but it is not significant"
    )  # fmt: skip


def test_a_bound_within_the_interval_is_not_shown(run: Names):
    """The range lies below the bound, but its interval reaches beyond."""
    gap = run.evidence.over_prompts("flan_t5 greedy", run.columns("overlap").measures[0])
    assert gap.value is not None
    assert gap.high is not None
    bound = (gap.value + gap.high) / 2

    found = judge(f"FLAN-T5 varies by less than {bound:.4f} on overlap", run)

    assert found.verdict == "not significant"


def test_a_verdict_gives_what_it_rests_on(run: Names):
    """Scores, difference, interval, p and n are those of the report's pairs."""
    check = judge("LLaMA prompt2 > prompt1 on overlap", run).checks[0]

    assert (check.left, check.right) == ("llama.prompt2", "llama.prompt1")
    assert check.score is not None
    assert check.other is not None
    assert check.gap.value == pytest.approx(check.score - check.other)
    assert check.gap.value == pytest.approx(0.2, abs=0.05)
    assert check.gap.low is not None
    assert check.gap.high is not None
    assert check.gap.low < check.gap.value < check.gap.high
    assert check.gap.p is not None
    assert check.gap.p < 0.001
    assert (check.gap.n, check.gap.n_questions) == (120, 60)


def test_all_lists_its_counter_examples(run: Names):
    """And only those: the rest of the comparisons hold."""
    found = judge("LLaMA prompt2 > prompt1 on all", run)

    assert found.reason == "1 of 2 comparisons do not hold"
    assert [c.measure.key for c in found.checks if not c.holds] == ["toy_words"]


def test_most_needs_more_than_half(run: Names):
    """One of two is not most."""
    assert judge("LLaMA prompt2 > prompt1 on most", run).verdict == "false"
    assert judge("LLaMA prompt2 >= prompt1 on most", run).verdict == "true"


def test_few_questions_are_not_tested(tmp_path: Path):
    """15 questions have neither interval nor p: the direction is all that can be told."""
    names = Names(evidence(tmp_path / "run", spec(LLAMA, LLAMA2), answer=planned, n=30))

    plain = judge("LLaMA prompt2 > prompt1 on overlap", names)
    sure = judge("LLaMA prompt2 significantly > prompt1 on overlap", names)
    alike = judge("LLaMA prompt2 is not significantly different from prompt1 on overlap", names)

    assert (plain.verdict, plain.reason) == (
        "not significant", "not tested: 15 questions are too few"
    )  # fmt: skip
    assert sure.verdict == alike.verdict == "not testable"
    assert judge("LLaMA prompt1 significantly > prompt2 on overlap", names).verdict == "false"


def test_a_score_that_is_not_there_is_not_testable(tmp_path: Path):
    """By name; under ``all`` its column is left out, and told."""
    silent = "nothing"
    metrics = {"toy-0": Toy(), "odd-0": Toy("odd", unscored=silent)}

    def answer(made_by: Condition, row: int, sample: int) -> str:
        return silent if made_by == FLAN else planned(made_by, row, sample)

    about = spec(LLAMA, FLAN, metrics=metrics)
    names = Names(evidence(tmp_path / "run", about, answer=answer))

    by_name = judge("LLaMA > FLAN-T5 on odd_overlap", names)
    by_all = judge("LLaMA > FLAN-T5 on all", names)

    assert by_name.verdict == "not testable"
    assert "flan_t5.prompt1" in by_name.reason
    assert by_all.verdict == "true"
    assert by_all.left_out == ("Overlap", "Words")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Names:
    """Return a run with three adapters; the one of all rows mostly says nothing."""
    about = finetuned_spec()
    return Names(evidence(tmp_path_factory.mktemp("tuned") / "run", about, answer=planted, n=80))


@pytest.mark.parametrize(
    ("says", "verdict", "pairs"),
    [
        ("tuned > base on rouge1", "false", 3),
        ("llama-n525-s0 and llama-n525-s1 > base on rouge1", "true", 2),
        ("llama-n4719-s0 lower than base on rouge1", "true", 1),
        ("base > llama-n4719-s0 on rouge1", "true", 1),
        ("LLaMA 3.1 8B Instruct > base on rouge1", "error", 0),
    ],
)
def test_a_fine_tune_is_compared_with_its_own_base(
    tuned: Names, says: str, verdict: str, pairs: int
):
    """With what it was tuned from, and not with the whole model that is in the run as well."""
    found = judge(says, tuned)

    assert (found.verdict, len(found.checks)) == (verdict, pairs), found.reason
    assert {"llama_nf4.prompt2"} >= {
        key for c in found.checks for key in (c.left, c.right) if "-n" not in key
    }


# ---------------------------------------------------------------------------- suggestions


def test_what_is_suggested_is_true_and_significant(run: Names, tuned: Names):
    """Whatever is pasted holds; what is by chance is not suggested."""
    for names in (run, tuned):
        found = suggest(names.evidence)

        assert found
        assert {judge(says, names).verdict for says in found} == {"true"}
        sure = {judge(s.replace(" > ", " significantly > "), names).verdict for s in found}
        assert sure == {"true"}
        assert len(found) <= 30
    assert not [s for s in suggest(run.evidence) if s.count("flan_t5") == 2]


def test_nothing_is_suggested_without_a_difference(tmp_path: Path):
    """Two conditions with the same answers."""
    about = spec(FLAN, FLAN2)
    found = evidence(tmp_path / "run", about, answer=lambda of, row, sample: f"w0 w1 x{row}")

    assert suggest(found) == ()


# ---------------------------------------------------------------------------- what is told


def findings(names: Names, *says: str) -> Findings:
    """Return the verdicts about some claims."""
    checked = [
        Checked(Claim(s, Place("c.toml", i)), judge(s, names)) for i, s in enumerate(says, 1)
    ]
    return Findings("a run", "Holm", "", tuple(checked))


CLAIMS = (
    "LLaMA prompt2 > prompt1 on overlap",
    "LLaMA prompt1 > prompt2 on all",
    "FLAN-T5 prompt1 <= FLAN-T5 prompt1 on all",
    "LLaMA is more sensitive than FLAN-T5 on overlap",
    "FLAN-T5 varies by less than 0.1 on overlap",
)


@pytest.mark.parametrize("width", [50, 80, 140])
def test_no_line_is_wider_than_the_terminal(run: Names, width: int):
    """Words are parted at blanks; what must be known of a comparison stands in one block."""
    shown = text(findings(run, *CLAIMS), width)

    assert max(map(len, shown.splitlines())) <= width
    assert "p < 0.001" in shown
    assert "n = 120 (60 questions)" in shown
    assert shown.endswith("5 claims: 3 true, 1 false, 1 not understood")


def test_an_undecided_claim_gives_its_reason_once(run: Names):
    """In print; machines read the verdict by its old name."""
    found = findings(run, "FLAN-T5 prompt1 is not significantly different from prompt2 on overlap")
    shown = text(found, 1000)

    assert shown.startswith("claims against a run: p corrected by Holm\n\nundecided  ")
    assert shown.count("no margin is declared") == 1
    assert shown.endswith("1 claim: 0 true, 0 false, 1 undecided")
    assert as_json(found, strict=False)["counts"]["cannot be told"] == 1


def test_json_says_the_same(run: Names):
    """Every key is there whatever the verdict."""
    found = findings(run, *CLAIMS)
    told = json.loads(json.dumps(as_json(found, strict=False)))

    assert set(told) == {"source", "correction", "stamp", "claims", "problems", "numbers",
                         "warnings", "files", "counts", "exit_code"}  # fmt: skip
    assert {frozenset(c) for c in told["claims"]} == {frozenset(
        ("says", "file", "line", "quotes", "where", "verdict", "reason", "left_out", "checks")
    )}  # fmt: skip
    first = told["claims"][0]["checks"][0]
    assert set(first) == {"column", "left", "right", "left_score", "right_score", "difference",
                          "low", "high", "p", "n", "n_questions", "holds", "shown",
                          "note"}  # fmt: skip
    assert first["holds"] is first["shown"] is True
    assert told["counts"] == {"true": 3, "false": 1, "not significant": 0, "cannot be told": 0,
                              "not testable": 0,
                              "error": 1}  # fmt: skip
    assert told["exit_code"] == 2


@pytest.mark.parametrize(
    ("verdict", "plain", "strict"),
    [("true", 0, 0), ("false", 4, 4), ("not significant", 0, 4), ("not testable", 0, 4),
     ("error", 2, 2)],
)  # fmt: skip
def test_a_verdict_decides_the_exit_code(verdict: str, plain: int, strict: int):
    """An error outweighs what is false: it must be mended before all can be told."""
    one = Checked(Claim("", Place("c.toml")), Judged(verdict))  # type: ignore[arg-type]
    false = Checked(Claim("", Place("c.toml")), Judged("false"))

    assert Findings("", "", "", (one,)).exit_code(strict=False) == plain
    assert Findings("", "", "", (one,)).exit_code(strict=True) == strict
    both = Findings("", "", "", (one, false)).exit_code(strict=False)
    assert both == (2 if verdict == "error" else 4)


def test_what_can_be_cited_has_the_keys_of_the_results(tmp_path: Path):
    """Values, bounds and p of every result, subsets included."""
    about = spec(HUMAN, LLAMA, LLAMA2)
    collected = collect(make(tmp_path / "run", about, answer=planned, n=120), about)
    found = aggregate(collected, about)
    told = results(about, found)
    names = evidence_of_run(about, found.summary, found.pairs)

    citables = citables_of_run(told, names)

    assert {c.key for c in citables} == {r.key for r in told}
    assert {c.command for c in citables} == {"res", "resci", "resp"}
    assert all(c.about for c in citables if c.command == "res")
