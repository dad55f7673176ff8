"""Pairs of scores: every reason planted once, comparisons in both orders, people's ratings."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from scipy.stats import binomtest

from empathy_core import rubrics, store
from empathy_core.annotation import RoundDir
from empathy_core.errors import DataError
from empathy_core.store import EXAMPLES
from empathy_core.training.preference import frozen, pairs
from empathy_core.training.preference.settings import PairSettings
from jobs.planning.pairs import planned as planned_pairs
from jobs.planning.pairs.from_scores import found_pairs
from jobs.planning.pairs.planned import same_again
from jobs.planning.pairs.said_of_replies import said_of_replies
from jobs.planning.plan import PlannedMetric
from jobs.planning.plan_file import write_plan
from jobs.planning.withheld import WithheldWrites
from tests.runs import preferred, rated, scored
from tests.runs.by_hand import FLAN, LLAMA
from tests.runs.corrected import check_crises
from tests.runs.scored import KEY, opened, question, run_of, usual_metrics

NEW = pl.DataFrame(
    [
        {"id": "new-0", "context": question(7), "response": "a", "source": "new", "split": "test",
         "block": 0},
        {"id": "new-1", "context": question(1), "response": "a", "source": "new",
         "split": "validation"},
    ],
    schema={name: EXAMPLES[name] for name in EXAMPLES},
)  # fmt: skip
"""Rows of the run that is tuned: it tests one question, and holds out another."""


def _settings(**changes: Any) -> PairSettings:
    usual = {"path": "x", "made_from": "scores", "column": "positive", "margin": 0.3,
             "licence": "MIT"}  # fmt: skip
    return PairSettings(**{**usual, **changes})


def test_every_reason_is_counted_once(tmp_path: Path) -> None:
    """Ten pairs of answers, of which three are kept: see ``scored.SCORES``."""
    metrics = usual_metrics()
    of, settings = opened(run_of(tmp_path, metrics), metrics), _settings()
    made = frozen.make("s", settings, found_pairs(of, settings), NEW)

    assert made.audit["found"] == 10
    assert made.audit["dropped"] == {
        pairs.MISSING: 1, pairs.CLOSE: 1, "the chosen reply is flagged": 1,
        "the question is evaluated": 1, "a test question of the run that was scored": 1,
        "the question shows a risk of suicide": 1, "lengths too far apart": 1,
    }  # fmt: skip
    told = {r["context"]: r for r in made.frame.iter_rows(named=True)}
    assert set(told) == {question(0), question(1), question(9)}
    assert told[question(0)]["chosen"] == "llama says 0 to you"
    assert told[question(0)]["rejected_by"] == f"{FLAN.id}#0"
    assert told[question(1)]["chosen_by"] == f"{FLAN.id}#0"
    assert told[question(1)]["split"] == "validation"
    assert (told[question(1)]["chosen_score"], told[question(1)]["rejected_score"]) == (0.8, 0.2)
    # 0.05, 0.3, 0.6 and six of 0.8: of nine, the fifth is the median
    assert made.audit["differences"]["n"] == 9
    assert made.audit["differences"]["median"] == pytest.approx(0.8)


def test_lower_is_better_where_the_metric_says_so(tmp_path: Path) -> None:
    """The other reply of each pair is chosen."""
    metrics = usual_metrics("lower")
    of, settings = opened(run_of(tmp_path, metrics), metrics), _settings()
    made = frozen.make("s", settings, found_pairs(of, settings), NEW)

    chosen = dict(made.frame.select("context", "chosen_by").iter_rows())
    assert chosen[question(0)] == f"{FLAN.id}#0"
    assert chosen[question(1)] == f"{LLAMA.id}#0"
    assert "the chosen reply is flagged" not in made.audit["dropped"]  # it is the rejected one


def test_a_margin_that_is_never_reached_is_told_with_the_differences(tmp_path: Path) -> None:
    """Three parts, and how far apart scores are."""
    metrics, settings = usual_metrics(), _settings(margin=0.95)
    of = opened(run_of(tmp_path, metrics), metrics)

    with pytest.raises(Exception, match="no pair is left to train on; expected some") as told:
        frozen.make("s", settings, found_pairs(of, settings), NEW)
    assert f"{pairs.CLOSE}: 9" in str(told.value)
    assert "0.8 (most)" in str(told.value)
    assert "correct what the reasons name: margin" in str(told.value)


def test_answers_of_models_without_a_licence_are_not_trained_on(tmp_path: Path) -> None:
    """Unless the table names one."""
    metrics, settings = usual_metrics(), _settings(licence=None)
    of = opened(run_of(tmp_path, metrics), metrics)

    with pytest.raises(Exception, match="licence is not known to allow training: 7"):
        frozen.make("s", settings, found_pairs(of, settings), NEW)


def test_changed_answers_and_scores_are_noticed(tmp_path: Path) -> None:
    """Their digests are part of what the pairs are made from."""
    metrics, settings = usual_metrics(), _settings()
    before = found_pairs(opened(run_of(tmp_path / "a", metrics), metrics), settings).origin
    again = found_pairs(opened(run_of(tmp_path / "b", metrics), metrics), settings).origin
    other = usual_metrics("lower")
    changed = found_pairs(opened(run_of(tmp_path / "c", other), other), settings).origin

    assert again["answers"] == before["answers"]
    assert again["scores"] == before["scores"]
    assert changed["answers"] == before["answers"]
    assert changed["scores"] != before["scores"]


def test_pairs_made_anew_from_other_scores_are_told_apart(tmp_path: Path) -> None:
    """Settings alike, and origins that differ."""
    metrics, run = usual_metrics(), store.RunDir(tmp_path / "new")
    of = opened(run_of(tmp_path / "a", metrics), metrics)
    settings = _settings()
    found = found_pairs(of, settings)
    made = frozen.make("s", settings, found, NEW)
    frozen.freeze("s", made, run)
    assert not frozen.made_anew("s", made.digest, made.audit, run)

    fewer = replace(found, candidates=found.candidates[1:], origin={**found.origin, "scores": "x"})
    later = frozen.make("s", settings, fewer, NEW)
    frozen.freeze("s", later, run)
    assert frozen.made_anew("s", later.digest, later.audit, run)


# ---------------------------------------------------------------------------- comparisons


SAID = {
    0: (0.9, 0.1),  # FLAN is preferred in both orders
    1: (0.2, 0.9),  # LLAMA, the baseline, is preferred in both orders
    2: (0.9, 0.9),  # what stands first
    3: (0.9, 0.45),  # by 0.8 in one order, and 0.1 in the other
}
"""Example → P(the first reply) with FLAN's first, and second; the others are like the first."""


def test_a_comparison_must_hold_in_both_orders(tmp_path: Path) -> None:
    """Of ten, one says nothing (``preferred.NO_ANSWER``), one disagrees, one is too near."""

    def says(condition: str, opponent: str, example: int) -> preferred.Said:
        return preferred.Said(*SAID.get(example, (0.9, 0.1)), 0.0)

    judge = preferred.Compares(
        "tiny", "Tiny Judge", preferred.JUDGE, rubrics.rubric("emrank"), opponent=LLAMA.id,
        opponent_label="LLaMA", baseline=LLAMA.id, says=says,
    )  # fmt: skip
    metrics = {preferred.KEY: judge}
    of = opened(run_of(tmp_path, metrics), metrics, preferred.KEY)
    found = found_pairs(of, _settings(column="tiny_emrank_empathy"))

    assert found.left_out == {pairs.LOW_MASS: 1, pairs.UNLIKE_ORDERS: 1, pairs.CLOSE: 1}
    by = {one.context: one.chosen_by for one in found.candidates}
    assert by[question(0)] == f"{FLAN.id}#0"
    assert by[question(1)] == f"{LLAMA.id}#0"
    assert len(found.candidates) == 7
    assert "is uncalibrated on" in found.warnings[0]


# ---------------------------------------------------------------------------- people

People = Callable[[str, str, str, str], float]


def _rated(tmp_path: Path, says: People, **settings: Any) -> Any:
    metrics = usual_metrics()
    run = run_of(tmp_path, metrics)
    rated.add_round(run, [LLAMA.id, FLAN.id], share=1.0, says=says)
    return opened(run, metrics, settings.pop("key", KEY))


def _as_classified(rater: str, condition: str, example: str, dimension: str) -> float:
    """Say the contrary of the classifier at the first question, and nothing else at the last."""
    i = int(example.rpartition("-")[2])
    llama, flan = scored.SCORES[i]
    better = (llama > flan) == (condition == LLAMA.id)
    return 3.0 if i == 9 else 4.0 if better != (i == 0) else 2.0


def test_agreement_with_people_is_that_of_twenty_lines_by_hand(tmp_path: Path) -> None:
    """Of the pairs that are kept: one is the other way round, one as classified, one is equal."""
    of, settings = _rated(tmp_path, _as_classified), _settings()
    found = found_pairs(of, settings)
    made = frozen.make("s", settings, found, NEW)

    (view,) = (v for v in made.audit["people"] if v["dimension"] == "mentalalign.empathy")
    kept = {r["context"]: r for r in made.frame.iter_rows(named=True)}
    same = equal = 0
    for i in (0, 1, 9):  # by hand: what each says of the two replies of a kept pair
        row = kept[question(i)]
        mean = {
            c: sum(_as_classified(r, c, f"sample-{i}", "empathy") for r in rated.RATERS) / 3
            for c in (LLAMA.id, FLAN.id)
        }
        a, b = (mean[row[side].partition("#")[0]] for side in ("chosen_by", "rejected_by"))
        same, equal = same + (a > b), equal + (a == b)
    exact = binomtest(same, 3 - equal).proportion_ci(0.95, "exact")
    assert (view["same"], view["n"], view["n_equal"], view["n_questions"]) == (
        same / (3 - equal), 3 - equal, equal, 2,
    )  # fmt: skip
    assert (view["same"], equal) == (0.5, 1)
    assert (view["low"], view["high"]) == pytest.approx((exact.low, exact.high))
    assert "prefer the same reply in 50%" in pairs.audit_text("s", made.audit)


def test_pairs_of_peoples_ratings_need_enough_raters(tmp_path: Path) -> None:
    """Three raters: of three the pairs that differ, of four none; nobody agrees with themselves."""
    key = "people:mentalalign:empathy"
    of = _rated(tmp_path, _as_classified, key=key)
    enough = found_pairs(of, _settings(column="human_mentalalign_empathy", margin=1.0))
    few = found_pairs(of, _settings(margin=1.0, least_raters=4))

    assert len(enough.candidates) == 9
    assert enough.left_out == {pairs.CLOSE: 1}  # they rate the last pair equal
    assert few.left_out == Counter({pairs.FEW_RATERS: 10})
    by = {one.context: one.chosen_by for one in enough.candidates}
    assert by[question(0)] == f"{FLAN.id}#0"
    assert all(one.people == {} for one in enough.candidates)
    assert "Empathy (people), at least 2 raters or an adjudication" in enough.notes[0]


@pytest.mark.parametrize(("agreed", "n"), [(2, 9), (1, 0)])
def test_only_ratings_of_raters_who_agreed_decide_pairs(
    agreed: int, n: int, tmp_path: Path
) -> None:
    """The two who agreed are enough; one alone is not, though all three have rated."""
    metrics, key = usual_metrics(), "people:mentalalign:empathy"
    run = run_of(tmp_path, metrics)
    rated.add_round(run, [LLAMA.id, FLAN.id], share=1.0, says=_as_classified, may_train="ask")
    folder, said = RoundDir.of(run, rated.ROUND), ["yes"] * agreed + ["no"] * (3 - agreed)
    for rater, answer in zip(rated.RATERS, said, strict=True):
        record = {"file": rater, "raters": [rater], "facts": {"may_train": answer}, "at": "1"}
        store.append_json_line(record, folder.imports, flush=False)

    found = found_pairs(
        opened(run, metrics, key), _settings(column="human_mentalalign_empathy", margin=1.0)
    )

    assert len(found.candidates) == n
    assert found.left_out == ({pairs.CLOSE: 1} if n else {pairs.FEW_RATERS: 10})
    assert f"{3 - agreed} of 3 raters have not agreed" in found.warnings[0]


def test_a_reply_is_told_of_by_its_words(tmp_path: Path) -> None:
    """Whoever chooses them: also a therapist whose reply a run repeats."""
    metrics = usual_metrics()
    of = opened(run_of(tmp_path, metrics), metrics)
    said = said_of_replies(of.collected, of.spec)
    one = pairs.PairCandidate(question(4).upper(), "you may as well", "Stay.", "made", "MIT")
    found = said.marked(pairs.FoundPairs((one,), {}))

    assert len(said.flagged) == 1
    assert found.candidates[0].flagged


# ---------------------------------------------------------------------------- harmful replies


def _blamed(rater: str, condition: str, example: str, fault: str) -> bool:
    """One of two people finds a fault in LLAMA's reply to somebody at risk."""
    return (rater, condition, example, fault) == ("R01", LLAMA.id, "sample-5", "blaming")


def test_what_one_person_found_harmful_is_never_chosen(tmp_path: Path) -> None:
    """Nor where questions at risk are kept."""
    metrics = {KEY: scored.Sentiment()}
    run, settings = run_of(tmp_path, metrics), _settings(crisis="keep", most_length_ratio=9.0)
    check_crises(run, [LLAMA.id, FLAN.id], ("sample-5",), _blamed)
    made = frozen.make("s", settings, found_pairs(opened(run, metrics), settings), NEW)

    assert made.audit["dropped"]["the chosen reply is flagged"] == 1
    assert question(4) in made.frame["context"].to_list()
    assert question(5) not in made.frame["context"].to_list()


def test_a_therapists_reply_that_was_found_harmful_is_not_chosen_either(tmp_path: Path) -> None:
    """The run of the model's answers has the same words under a condition, and people saw them."""
    run = run_of(tmp_path, {})
    check_crises(run, [LLAMA.id, FLAN.id], ("sample-5",), _blamed)
    told = _against_flan(run, 0, 5)

    assert "pairs t: 1 of 2 kept" in told
    assert "the chosen reply is flagged: 1" in told


def test_people_may_have_compared_a_therapist_with_a_model(tmp_path: Path) -> None:
    """Then it is said how often they prefer the therapist's words."""
    run = run_of(tmp_path, {})
    rated.add_round(run, [LLAMA.id, FLAN.id], share=1.0, says=_as_classified)
    told = _against_flan(run, 0, 2, 6)

    assert "People's ratings (mentalalign.empathy) prefer the same reply in 50%" in told
    assert "of 2 pairs to 2 questions" in told  # the contrary at the first, and as said at the next


def test_answers_of_a_model_without_a_licence_are_not_set_against_a_therapist(
    tmp_path: Path,
) -> None:
    """They are trained on, too: FLAN's licence is not stated, and what is may not allow it."""
    run = run_of(tmp_path, {})
    for licence in (None, "some terms"):
        with pytest.raises(DataError, match="the licence is not known to allow training: 2"):
            _against_flan(run, 0, 2, licence=licence)


def _against_flan(run: store.RunDir, *examples: int, licence: str | None = "MIT") -> str:
    """Return the audit of pairs of therapists, whose words are LLAMA's, against FLAN's answers."""
    write_plan(scored.PLAN, run.next_plan())
    sha256 = hashlib.sha256(run.examples.read_bytes()).hexdigest()
    store.write_json({"sha256": sha256, "identity": {}}, run.data)
    rows = [
        {"id": f"new-{i}", "context": question(i), "response": f"Llama says {i} to you!",
         "source": "new", "split": "train"}
        for i in examples
    ]  # fmt: skip
    settings = PairSettings(
        path=str(run.root), made_from="therapist", condition="flan_t5.prompt1", crisis="keep",
        licence=licence,
    )  # fmt: skip
    sources = [SimpleNamespace(name="new", licence="MIT")]
    config: Any = SimpleNamespace(
        pairs={"t": settings}, data_spec=lambda: SimpleNamespace(sources=sources)
    )
    spec: Any = SimpleNamespace(preference=SimpleNamespace(pairs="t"))
    frame = pl.DataFrame(rows, schema={name: EXAMPLES[name] for name in EXAMPLES})
    of_plan = planned_pairs.Pairs(config, frame, run, WithheldWrites())
    return pairs.audit_text("t", of_plan.audit(spec) or {})


# ---------------------------------------------------------------------------- who chose


def test_a_judge_is_uncalibrated_until_people_confirm_it(tmp_path: Path) -> None:
    """Of two judges, one sees what people see, and one says the same of everything."""
    about = rated.rated_spec(rated.judges(("empathy",)))
    run = rated.rated_run(tmp_path, about)
    store.write_json({"sources": [{"name": "sample", "licence": "MIT"}]}, run.audit)
    warnings = {}
    for name in ("clean", "fives"):
        key = f"judge_{name}_empathy-00000000"
        of = opened(run, about.metrics, key, about.conditions)
        warnings[name] = found_pairs(of, _settings(column="x")).warnings

    assert warnings["clean"] == ()
    assert "Fives is uncalibrated on Empathy" in warnings["fives"][0]


@pytest.mark.parametrize(
    ("name", "fingerprint", "n_told"), [("judge:other:r:d", "abc", 1), ("judge:own:r:d", "xyz", 0)]
)
def test_a_judge_that_chose_and_reports_is_told_of(
    name: str, fingerprint: str, n_told: int
) -> None:
    """By its weights, however it is called here, and whatever it is asked."""
    origin = {"chosen_by": ["abc"], "judge": "Own", "label": "Warmth"}
    chosen: Any = SimpleNamespace(audit=lambda _: {"origin": origin})
    preference = SimpleNamespace(pairs="s", digest="0" * 16)
    tuned: Any = SimpleNamespace(spec=SimpleNamespace(label="Tuned", preference=preference))
    model = {"name": "m", "label": "M", "backend": "hf"}
    reports = PlannedMetric(name, {"model": model, "fingerprint": fingerprint}, "k", "s", "g")
    told = list(same_again([tuned], [reports], chosen))

    assert len(told) == n_told
    assert all("judge Own chose the pairs that Tuned was tuned on" in one for one in told)


def test_notes_have_peoples_view_of_what_the_judge_was_asked(tmp_path: Path) -> None:
    """Of the two dimensions that people rated, the audit has both."""
    about = rated.rated_spec(rated.judges(("empathy",)))
    run = rated.rated_run(tmp_path, about)
    store.write_json({"sources": [{"name": "sample", "licence": "MIT"}]}, run.audit)
    train = pl.read_parquet(run.examples).with_columns(split=pl.lit("train"))
    store.write_bytes(store.frame_bytes(train), run.examples)
    of = opened(run, about.metrics, "judge_clean_empathy-00000000", about.conditions)
    settings = _settings(column="x", most_length_ratio=9.0)
    made = frozen.make("s", settings, found_pairs(of, settings), NEW)
    views = {of["dimension"]: of for of in made.audit["people"]}

    assert set(views) == {"mentalalign.empathy", "mentalalign.safety"}
    assert views["mentalalign.empathy"]["same"] > views["mentalalign.safety"]["same"]
    assert views["mentalalign.empathy"]["low"] > 0.5
    (said,) = [note for note in made.audit["notes"] if note.startswith("People's ratings")]
    assert "mentalalign.empathy" in said
