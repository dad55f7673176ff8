"""Preference pairs: which are kept, on which side they are, and why others are left out."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from empathy_core.errors import ConfigError, Damaged, DataError
from empathy_core.store import EXAMPLES, RunDir
from empathy_core.training.preference import candidates, frozen, pairs
from empathy_core.training.preference.candidates import FoundPairs, PairCandidate
from empathy_core.training.preference.settings import PairSettings

GOOD = PairCandidate(
    "How do I sleep?", "Tell me more about your nights.", "Just sleep more, friend.",
    "made", "MIT",
)  # fmt: skip


def _examples(*rows: tuple[str, str, str, int | None]) -> pl.DataFrame:
    """Return frozen rows of (context, response, split, block)."""
    columns = ("context", "response", "split", "block")
    made = [dict(zip(columns, row, strict=True)) for row in rows]
    for i, row in enumerate(made):
        row |= {"id": f"made-{i:05d}", "source": "made"}
    return pl.DataFrame(made, schema={k: EXAMPLES.get(k, pl.String) for k in EXAMPLES})


NO_ROWS = _examples()


def _select(*given: PairCandidate, examples: pl.DataFrame = NO_ROWS, **settings: Any) -> Any:
    found = FoundPairs(given, {})
    return pairs.select(found, PairSettings(path="x", **settings), examples)


def _made(
    name: str, settings: PairSettings, examples: pl.DataFrame, licences: dict[str, str]
) -> pairs.PreferencePairs:
    """Find pairs, and choose among them."""
    found = candidates.find(name, settings, examples, licences)
    return frozen.make(name, settings, found, examples)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([replace(GOOD, rejected=" \n")], "an empty text"),
        ([replace(GOOD, rejected="TELL me more  about your nights")], "chosen equals rejected"),
        ([GOOD, replace(GOOD, context="how do I sleep")], "the same pair twice"),
        ([GOOD, replace(GOOD, chosen=GOOD.rejected, rejected=GOOD.chosen)], "preferred both ways"),
        ([replace(GOOD, flagged=True)], "the chosen reply is flagged"),
        ([replace(GOOD, licence="see its card")], "the licence is not known to allow training"),
        ([replace(GOOD, of_models=("MIT", ""))], "the licence is not known to allow training"),
        ([replace(GOOD, tested=True)], "a test question of the run that was scored"),
        ([replace(GOOD, context="I want to kill myself tonight.")],
         "the question shows a risk of suicide"),
        ([replace(GOOD, rejected="Sleep.")], "lengths too far apart"),
    ],
)  # fmt: skip
def test_a_pair_is_left_out_for_a_reason_that_is_counted(
    given: list[PairCandidate], why: str
) -> None:
    """Each reason by a pair that is faulty in nothing else."""
    found = _select(*given)

    expected = 2 if why == "preferred both ways" else 1
    assert found.audit["dropped"] == {why: expected}
    assert found.audit["kept"] == len(given) - expected
    assert found.audit["found"] == len(given)


def test_what_is_allowed_is_kept() -> None:
    """The same pairs, where the settings say so."""
    crisis = replace(GOOD, context="I want to kill myself tonight.")
    licensed = replace(GOOD, licence="RAIL (by hand)")

    assert _select(crisis, crisis="keep").frame.height == 1
    assert _select(licensed, training_licences=("rail (by hand)",)).frame.height == 1
    assert _select(replace(GOOD, rejected="Sleep."), most_length_ratio=6.0).frame.height == 1


def test_the_split_is_the_runs_own_and_by_question() -> None:
    """Evaluated and test questions are never trained on; held out is what the run holds out."""
    examples = _examples(
        ("How do I sleep?", "a", "validation", None),
        ("Why am I sad?", "a", "train", None),
        ("Who can help?", "a", "test", None),
        ("What is this?", "a", "train", 0),
    )
    questions = ("how do I sleep", "Why am I sad?", "Who can help?", "What is this?")
    found = _select(*(replace(GOOD, context=q) for q in questions), examples=examples)

    sides = dict(found.frame.select("context", "split").iter_rows())
    assert sides == {"how do I sleep": "validation", "Why am I sad?": "train"}
    assert found.audit["dropped"] == {"the question is evaluated": 2}


def test_all_pairs_of_a_question_are_on_one_side() -> None:
    """Of questions that the run does not have, a share is held out, whole."""
    many = [
        replace(GOOD, context=f"Question {i}?", chosen=f"Tell me {j} more nights.")
        for i in range(200) for j in range(3)
    ]  # fmt: skip
    frame = _select(*many, validation_share=0.25).frame
    sides = frame.group_by("question").agg(pl.col("split").n_unique())

    assert sides["split"].to_list() == [1] * 200
    held_out = frame.filter(split="validation").height / 600
    assert 0.15 < held_out < 0.35  # four standard errors around a quarter
    assert _select(*reversed(many), validation_share=0.25).frame.equals(frame)


def test_matched_pairs_are_as_often_longer_as_shorter() -> None:
    """What length alone could say of the preference is then nothing."""
    longer = [
        replace(GOOD, context=f"Q{i}?", chosen="a b c d e f", rejected="a b c d z")
        for i in range(9)
    ]
    shorter = [
        replace(GOOD, context=f"R{i}?", chosen="a b c d", rejected="a b c d z") for i in range(4)
    ]
    found = _select(*longer, *shorter, matched=True)

    assert found.audit["chosen_longer"] == 0.5
    assert found.audit["dropped"] == {"left out to match lengths": 5}
    assert _select(*longer, *shorter).audit["chosen_longer"] == pytest.approx(9 / 13)


def _file(folder: Path, **changes: Any) -> Path:
    row = {"prompt": GOOD.context, "chosen": GOOD.chosen, "rejected": GOOD.rejected, "red": ""}
    rows = [row | {"prompt": f"{GOOD.context} {i}"} | changes for i in range(30)]
    path = folder / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_a_file_is_frozen_with_its_provenance(tmp_path: Path) -> None:
    """Frame and audit under the digest; what was changed there is refused."""
    settings = PairSettings(path=str(_file(tmp_path)), licence="CC-BY-4.0", flagged="red")
    made = _made("p", settings, NO_ROWS, {})
    run = RunDir(tmp_path / "run")
    frozen.freeze("p", made, run)

    assert frozen.load("p", made.digest, run).equals(made.frame)
    audit = json.loads(run.pairs("p", made.digest).with_suffix(".json").read_text())
    assert audit["kept"] == 30
    assert len(audit["origin"]["sha256"]) == 64
    assert audit["settings"]["licence"] == "CC-BY-4.0"
    assert _made("p", replace(settings, seed=1), NO_ROWS, {}).digest != ""
    changed = made.frame.with_columns(chosen=pl.lit("another"))
    changed.write_parquet(run.pairs("p", made.digest))
    with pytest.raises(Damaged, match="does not hold the pairs"):
        frozen.load("p", made.digest, run)


def test_a_file_without_licence_or_pairs_is_refused(tmp_path: Path) -> None:
    """What is lacking is named, with the counts of what was left out."""
    path = str(_file(tmp_path, red="1"))
    with pytest.raises(ConfigError, match="no licence is named"):
        _made("p", PairSettings(path=path), NO_ROWS, {})
    with pytest.raises(DataError, match="the chosen reply is flagged: 30"):
        _made("p", PairSettings(path=path, licence="MIT", flagged="red"), NO_ROWS, {})


@pytest.mark.parametrize(
    ("made_from", "vain"),
    [
        ("file", {"column": "bleu", "margin": 0.1}),
        ("file", {"least_raters": 3, "least_mass": 0.5, "text": "answer"}),
        ("therapist", {"flagged": "red"}),
        ("therapist", {"source": "where", "chosen": "better"}),
        ("scores", {"flagged": "red"}),
        ("scores", {"licence_column": "licence", "context": "question", "condition": "a.b"}),
    ],
)
def test_settings_without_effect_are_not_passed_over_without_a_word(
    tmp_path: Path, made_from: Any, vain: dict[str, Any]
) -> None:
    """Whoever names the column of harmful replies counts on their being left out."""
    settings = PairSettings(path=str(_file(tmp_path)), licence="MIT", made_from=made_from, **vain)
    with pytest.raises(ConfigError) as told:
        candidates.require_effect("p", settings)

    assert all(key in str(told.value) for key in vain)
    assert f"has no effect with made_from = '{made_from}'; expected" in str(told.value)
    if made_from != "scores":
        with pytest.raises(ConfigError, match="has no effect"):
            _made("p", settings, NO_ROWS, {})


def test_a_therapist_is_set_against_a_models_answers(tmp_path: Path) -> None:
    """References of training and validation rows, by question; that they are better is assumed."""
    examples = _examples(
        ("How do I sleep?", "Tell me about your nights and days.", "train", None),
        ("Why am I sad?", "It takes courage to ask this question.", "validation", None),
        ("Who can help?", "Many people can help you with it.", "test", 0),
    )
    answers = tmp_path / "answers.csv"
    answers.write_text(
        "question,text\nhow do I sleep,You should just sleep much more now.\n"
        "Why am I sad?,You should just be happy once more.\n"
        "Who can help?,Nobody can do that here.\n"
    )
    settings = PairSettings(path=str(answers), made_from="therapist", context="question")
    made = _made("t", settings, examples, {"made": "MIT"})

    assert made.audit["splits"] == {"train": 1, "validation": 1}
    assert "is assumed" in made.audit["assumed"]
    assert made.frame.filter(split="train")["chosen"][0].startswith("Tell me")
    with pytest.raises(DataError, match="the licence is not known"):
        _made("t", settings, examples, {"made": "see its card"})
    with pytest.raises(DataError, match="the licence is not known"):
        _made("t", replace(settings, licence="llama3.1"), examples, {"made": "MIT"})
    with pytest.raises(ConfigError, match="expected condition of a run"):
        _made("t", replace(settings, path=str(tmp_path)), examples, {})


def test_a_models_answers_may_be_those_of_a_run(tmp_path: Path) -> None:
    """By the condition's name or its id; one that has no answers is named."""
    examples = _examples(("How do I sleep?", "Tell me about your nights and days.", "train", None))
    run = RunDir(tmp_path / "run")
    run.examples.parent.mkdir(parents=True)
    examples.write_parquet(run.examples)
    sha256 = hashlib.sha256(run.examples.read_bytes()).hexdigest()
    run.data.write_text(json.dumps({"sha256": sha256, "identity": {}}))
    piece = run.generation("tiny.prompt2.greedy-0123abcd", 0, 1)
    piece.parent.mkdir(parents=True)
    rows = {"example": ["made-00000"], "sample": [0], "text": ["You should sleep much more now."]}
    rows |= {"stop": ["eos"]}
    pl.DataFrame(rows).write_parquet(piece)
    settings = PairSettings(path=str(run.root), made_from="therapist", condition="tiny.prompt2")
    made = _made("t", settings, examples, {"made": "MIT"})

    assert made.frame["rejected"].to_list() == ["You should sleep much more now."]
    assert made.audit["origin"] == {"run": "run", "condition": "tiny.prompt2.greedy-0123abcd"}
    assert made.audit["cut"] == [0, 0]
    pl.DataFrame(rows | {"stop": ["length"]}).write_parquet(piece)
    cut = _made("t", settings, examples, {"made": "MIT"})
    assert "1 rejected replies of 1 pairs stop in the middle" in pairs.audit_text("t", cut.audit)
    assert "raise max_new_tokens" in pairs.audit_text("t", cut.audit)
    assert any("stop in the middle" in note for note in cut.audit["notes"])
    with pytest.raises(DataError, match="0 conditions of"):
        _made("t", replace(settings, condition="other.prompt2"), examples, {"made": "MIT"})


@pytest.mark.parametrize(("share", "told"), [(0.001, True), (0.5, False), (0.0, False)])
def test_it_is_said_where_no_pair_happens_to_be_held_out(
    tmp_path: Path, share: float, *, told: bool
) -> None:
    """With few questions; where none was to be, there is nothing to say."""
    rows = [{"prompt": f"I can't sleep since week {i}. What should I do?", "chosen": GOOD.chosen,
             "rejected": GOOD.rejected} for i in range(20)]  # fmt: skip
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    settings = PairSettings(path=str(path), licence="MIT", validation_share=share)
    made = _made("p", settings, NO_ROWS, {})

    assert ("validation" not in made.audit["splits"]) == (told or not share)
    assert ("none is held out by chance" in pairs.audit_text("p", made.audit)) == told


def test_what_was_left_out_is_said_once() -> None:
    """Not: left out, left out to match lengths."""
    longer = [
        replace(GOOD, context=f"Q{i}?", chosen="a b c d e f", rejected="a b c d z")
        for i in range(3)
    ]
    told = pairs.audit_text("p", _select(*longer, matched=True).audit)

    assert "left out, to match lengths: 3" in told
