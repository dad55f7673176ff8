"""A labelled file for the tests of the classifier: levels are planted in what replies say."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

TOPICS = {
    "sleep": ("I lie awake until four and cannot fall asleep", "a fixed hour for bed helps sleep"),
    "divorce": ("My husband left and we are getting divorced", "a lawyer can explain the divorce"),
    "work": (
        "My boss shouts at me in front of everyone",
        "a human resources office handles bosses",
    ),
    "grief": ("My mother died in spring and I miss her", "a grief group meets in most towns"),
    "exams": ("I fail every exam because I panic", "breathing slowly before an exam calms panic"),
    "drinking": ("I drink a bottle of wine each evening", "less wine each week is a way to stop"),
    "son": ("My son does not speak to me any more", "a letter may reach your son"),
    "money": ("I owe money to four banks", "debt counselling brings banks to one table"),
}
WARM = (
    (
        "Here is one thing to do this week", "There are several options to choose from",
        "Start by writing down a short plan", "The usual advice is as follows",
        "Many articles have been written on it", "Consider making an appointment soon",
    ),
    (
        "I am sorry to hear about this", "That does not sound easy at all",
        "It makes sense to be upset now", "This seems like a hard time indeed",
        "I see why it would bother you", "Anyone may feel low in such weeks",
    ),
    (
        "My heart aches for you, this hurts deeply", "What agony and sorrow you carry here",
        "I am so deeply moved by your pain", "You must feel utterly heartbroken, dear one",
        "I feel with you in this terrible grief", "How devastating and lonely this must be",
    ),
)  # fmt: skip
"""Beginnings of replies, of level 0, 1 and 2, alike in length, marks and persons."""

Row = tuple[str, str, str, str]
"""Question, reply, warmth, and whether it is about the question: 2 yes, 1 in general, 0 no."""


def rows(n: int, seed: int = 0) -> list[Row]:
    """Return *n* labelled replies to half as many questions."""
    random = np.random.default_rng(seed)
    found = []
    names = list(TOPICS)
    for i in range(n):
        topic, warmth, about = names[(i // 2) % len(names)], *random.integers(3, size=2)
        other = names[(names.index(topic) + random.integers(1, len(names))) % len(names)]
        said = TOPICS[topic if about == 2 else other][1]
        if about == 1:
            said = "there are people and places that help"
        question = f"{TOPICS[topic][0]}, for {i // 2 + 2} days now. What can I do?"
        reply = f"{random.choice(WARM[warmth])}. I think that {said}."
        found.append((question, reply, str(warmth), str(about)))
    return found


def write(path: Path, of: Iterable[Row], header: tuple[str, ...] = ("q", "r", "warmth", "about")):
    """Write labelled replies as CSV, and return the file's path as text."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *of])
    return str(path)
