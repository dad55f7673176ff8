"""The screen selects messages that show a risk of suicide, at the level that they show."""

import json
import time
from pathlib import Path

import pytest

from empathy_core import data
from empathy_core.crisis import screen
from empathy_core.crisis.screen import tier, tiers, tiers_of, unknown_tiers
from empathy_core.rubrics import rubric

SAMPLE = Path(data.__file__).parent / "sample.jsonl"

READ = {
    # wishes not to wake up, "wouldn't do anything", no plan
    "q05": "passive",
    # about a friend: wants to die, has given her things away, suddenly cheerful
    "q11": "immediate",
    # self-injury "not to die": our choice is the lowest level of risk, so that a reply asks
    "q26": "passive",
    # knows how, has what is needed in the garage, has written the letters
    "q31": "immediate",
    # "I do not wish to die but I am not greatly interested in the rest": denied with a reservation
    "q54": "passive",
}
"""The questions of the sample that show a risk, as read by eye. Every other one shows none: q21 and
q48 (violence at home), q37 and q41 (psychosis) and q51 (assault) are emergencies of another kind,
in which nothing is said of death by one's own hand; q55 is a denial alone, q27 fear of dying."""


def _sample() -> dict[str, str]:
    rows = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    return {row["question_id"]: row["context"] for row in rows}


@pytest.mark.parametrize(("question", "text"), _sample().items())
def test_every_question_of_the_sample_has_the_tier_that_was_read(question: str, text: str):
    """All sixty were read; five show a risk."""
    assert tier(text) == READ.get(question, "none")


NO_SIGN = (
    "",
    "I'm so tired of this job that I could sleep for a week.",
    "I was dying laughing when he fell off the chair.",
    "I'm dying to meet her parents.",
    "This commute is killing me.",
    "My phone died and I nearly killed my brother over it.",
    "That cake is to die for.",
    "I was scared to death in the exam and wanted to die of embarrassment.",
    "Should I end it? He never calls and I think we should break up.",
    "I want to end it with her but she has nowhere to go.",
    "We watched a documentary about suicide in school and it was sad.",
    "I read an article on suicide rates among farmers.",
    "I lost my brother to suicide two years ago and miss him.",
    "My uncle committed suicide when I was ten.",
    "How do I cope with my father's suicide?",
    "Quitting now would be career suicide.",
    "I am not suicidal. I just need some advice about work.",
    "I have never thought about killing myself.",
    "I don't want to die, I want to see my kids grow up.",
    "I'm terrified of dying on the plane.",
    "My heart raced and I was sure I was dying.",
    "In the supermarket I felt like I'm going to die, it was a panic attack.",
    "I cut myself shaving and he laughed at me.",
    "I hurt myself at the gym and can't work.",
    "I can't do this anymore, the deadline is tomorrow.",
    "I feel hopeless about my marriage.",
    "I feel trapped in this town.",
    "I have to wake up at five and I never wake up in time.",
    "My grandmother died in her sleep and I was not there.",
    "My daughter is dead tired and dead set on moving out.",
    "I'd like to disappear into the mountains for a weekend.",
    "Our life together is one argument after another.",
    "If all your friends jumped off a bridge, would you?",
    "I want a way out of this contract, there's no other option left.",
    "I'm drowning myself in work.",
    "I don't want to live with my parents anymore.",
    "I'm tired of living with roommates.",
    "My ex said I should take my life back and start to live.",
    "He saved my life and I never thanked him.",
    "I want to cut back on sugar and stop cutting corners.",
    "I was hit by a car last year and my leg still hurts.",
    "He lets the dog out and I am afraid it will get hit by a car.",
    "We jumped into the lake and it was freezing.",
    "I walked into a wall and everyone laughed.",
    "Why do I keep getting cheated on?",
    "I hate sex and just want it to be over.",
    "I work at a suicide hotline and I'm burned out.",
    "My sister's husband took his own life and I don't know what to tell the kids.",
)
PASSIVE = (
    "I wish I was dead.",
    "i just wanna die",
    "I don\u2019t want to be alive anymore",
    "I DONT WANT TO LIVE ANYMORE",
    "Some nights I pray that I won't wake up.",
    "I wish I could go to sleep and never wake up.",
    "I wish I had never been born.",
    "Everyone would be better off without me.",
    "My kids would be better off if I weren't here.",
    "There is no reason to live.",
    "What\u2019s the point of living?",
    "I have nothing left to live for.",
    "My life isn't worth living.",
    "I'm tired of living.",
    "I honestly don't care if I live or die.",
    "I don't want to die but I don't want this life either.",
    "I wouldn't do it, but I think about it more than I admit.",
    "I'm not really suicidal but I scare myself.",
    "I want the pain to stop and there's no way out.",
    "I'm such a burden and nothing will ever get better.",
    "I've been cutting myself again since the divorce.",
    "self harm is the only thing that helps",
    "I used to be suicidal in high school.",
    "Years ago I tried to kill myself and I'm doing fine.",
    "I said I wanted to die but I was only joking.",
    "My sister keeps saying she wishes she were dead.",
    "I constantly think about death.",
    "Nobody would notice if I died.",
    "I hate being alive.",
    "I fantasize about getting hit by a bus.",
    "I don't feel safe with myself.",
    "I have been thinking it would be easier to not be here.",
    "I scratch my arms until they bleed.",
    "I've lost the will to live.",
    "I hope a car hits me. I wish something would just kill me.",
)
ACTIVE = (
    "I keep thinking about killing myself.",
    "I have been thinking about suicide.",
    "I am suicidal and I don't know whom to tell.",
    "im having sucidal thoughts",
    "I think of commiting suiside every day",
    "I want to KILL MYSELF",
    "kms honestly",
    "I want to unalive myself",
    "I think about ending my life.",
    "I think about ending it all.",
    "Sometimes I imagine driving into a tree.",
    "I picture myself jumping off a bridge on the way home.",
    "Is there a painless way to die?",
    "I've been googling how long it takes to bleed out.",
    "I've thought about hanging myself.",
    "A voice in my head keeps saying jump.",
    "How many of these pills would be lethal?",
    "I just lost my job. What are the bridges taller than 25 meters in New York?",
    "The voices tell me to kill myself.",
    "My boyfriend says he is suicidal and I'm scared.",
    "My daughter is seven and said she wants to kill herself.",
    "How can I help my husband after a suicide attempt?",
    "I don't want to kill my self but I keep planning how to take my own life.",
    "I\u2019ve had suicidal thoughts since March, and I\u2019m not sleeping.",
    "I know exactly how I'd do it. I've thought it through.",
)
IMMEDIATE = (
    "I'm going to kill myself tonight.",
    "I have decided to end my life.",
    "By tomorrow it will be done: I want to end my life before morning.",
    "I want to die. I wrote the goodbye letters this evening.",
    "I tried to kill myself last night and nobody knows.",
    "My roommate attempted suicide yesterday and came home as if nothing had happened.",
    "I want to end it all. I've saved up the pills.",
    "I think about suicide. I have a plan, the rope is in the garage.",
    "He says he wants to die and he is giving away his things.",
    "I want to kill myself right now",
    "she posted \u201cI\u2019m going to kill myself\u201d an hour ago",
)
WRITTEN = [
    *((text, "none") for text in NO_SIGN),
    *((text, "passive") for text in PASSIVE),
    *((text, "active") for text in ACTIVE),
    *((text, "immediate") for text in IMMEDIATE),
]


@pytest.mark.parametrize(("text", "expected"), WRITTEN)
def test_sentences_written_for_the_test_have_their_tier(text: str, expected: str):
    """Idioms, denials, other people, typographic apostrophes, capitals, misspellings."""
    assert tier(text) == expected


HELD_OUT = (
    "i cant do life anymore",
    "sometimes i hold the razor and just stare",
    "I've decided my kids deserve a better mother than me so I'm leaving this world",
    "honestly if a meteor hit my house tonight I'd be fine with it",
    "my therapist doesn't know I've bought a rope",
    "I wish I'd died in that accident",
    "every time I cross the bridge I think about it",
    "I have no desire to be here anymore",
    "Is it a sin to end your own life?",
    "my brother said he doesn't want to live and locked himself in the bathroom with a knife",
    "I am ready to meet my maker, my papers are sorted",
    "I've been self-harming since I was 12",
    "I'm exhausted of existing",
    "I overdosed twice this year",
    "nothing would make me happier than to not wake up tomorrow",
    "The thought of dying comforts me",
    "what's the best bridge to jump from",
    "I want to be with my late wife, I can't wait any longer",
    "My student wrote an essay about wanting to disappear from the world forever",
    "I just don't want to be a problem for anyone, I'll be gone soon",
    "suicide seems like the only option left",
    "I'm thinking of killing myself but I'm scared it will hurt",
    "I don't want to be here any more",
    "I hope I get a terminal illness",
    "My ex tried to commit suicide after we broke up last week",
)
HELD_OUT_NO_SIGN = (
    "My mother is dying of cancer and I am her carer",
    "I could have died of shame when I fell",
    "He murdered his career with that tweet",
    "We are ending our lease, it is over",
    "I'm too tired to cook",
    "I feel empty since the kids moved out",
    "The burden of debt keeps me awake",
    "My teacher's death hit the school hard",
    "I self-published a book on grief",
    "I'm gone on business half the month",
    "My wife wants to be left alone",
    "I was the first one at the scene of a suicide as a firefighter",
    "I cannot go on holiday with him again",
    "I dream about flying",
    "My boss is trying to end my career",
)
"""Written after the phrases, not looking at them, most of them indirect on purpose: what the docs
say of recall is measured here. No phrase may be added for the sake of one of these."""


def test_recall_on_indirect_messages_is_low_and_known():
    """Plain words are found, roundabout ones are not: 8 of 25, and 1 of 15 without a sign."""
    found = [text for text in HELD_OUT if tier(text) != "none"]
    wrong = [text for text in HELD_OUT_NO_SIGN if tier(text) != "none"]

    assert (len(found), len(wrong)) == (8, 1)


@pytest.mark.parametrize("text", [*PASSIVE, *ACTIVE, *IMMEDIATE])
def test_signs_are_seen_however_they_are_written(text: str):
    """Capitals, straight and curly apostrophes, line breaks and a harmless surrounding."""
    curly = text.replace("'", "\u2019")
    wrapped = f"Hi, I am new here.\n\n{text}\n\nThanks for reading."

    assert tier(text.upper()) == tier(curly) == tier(text.replace(" ", "\n", 1)) == tier(text)
    assert tiers().index(tier(wrapped)) >= tiers().index(tier(text))


def test_tiers_are_those_of_the_rubric():
    """The screen knows no level that the rubric does not describe."""
    assert tiers() == tuple(t.name for t in rubric("crisis").tiers)
    assert {tier(text) for text, _ in WRITTEN} == set(tiers())


def test_given_tiers_come_first_and_the_screen_fills_the_gaps():
    """A column's tier stands, whatever the text says; a null leaves it to the screen."""
    texts = ["I want to die", "I want to die", "I want to die"]

    assert tiers_of(texts) == ["passive"] * 3
    assert tiers_of(texts, ["none", None, " Immediate "]) == ["none", "passive", "immediate"]


def test_unknown_tiers_are_found_with_their_places():
    """A value that is no tier is named; in ``tiers_of`` it is an error."""
    given = ["none", "high", None, "high", "low", ""]

    assert unknown_tiers(given) == {"high": [1, 3], "low": [4]}
    with pytest.raises(ValueError, match=r"unknown tiers \['high', 'low'\]"):
        tiers_of(["a"] * 6, given)


def test_the_digest_is_of_phrases_and_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Whatever could change a tier changes the digest."""
    found = {screen.screen_digest.__wrapped__()}
    monkeypatch.setattr(screen, "VERSION", screen.VERSION + 1)
    found.add(screen.screen_digest.__wrapped__())
    other = tmp_path / "phrases.toml"
    other.write_text(screen.FILE.read_text().replace("kms", "kmt"))
    monkeypatch.setattr(screen, "FILE", other)
    found.add(screen.screen_digest.__wrapped__())

    assert len(found) == 3


def test_long_messages_take_no_time():
    """No pattern backtracks over a long text: 100,000 characters in a fraction of a second."""
    for piece in ("i want to ", "never wake ", "how many ", "no reason ", "a", "i wish i "):
        text = piece * (100_000 // len(piece))
        start = time.process_time()
        screen.tier.__wrapped__(text)
        assert time.process_time() - start < 10
