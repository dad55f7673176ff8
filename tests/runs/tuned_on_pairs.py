"""A small preference tuning for the tests: the made rows against a model's made answers."""

from itertools import permutations
from pathlib import Path

from tests.runs.finetunes import FEELINGS, TUNED, write_experiment

ON_PAIRS = (
    TUNED.replace('train_sizes = [16, "all"]\nepochs = 4.0', 'method = "sft+dpo"\npairs = "own"')
    .replace('licence = "none"', 'licence = "MIT"')
    .replace("[metrics.bleu]", """[finetune.q.dpo]
learning_rate = 0.01
epochs = 4.0
beta = 1.0
[pairs.own]
made_from = "therapist"
path = "answers.csv"
context = "question"
[metrics.bleu]""")
)  # fmt: skip
"""12 steps on answers, and then 16 on pairs."""


def write_on_pairs(folder: Path, text: str = ON_PAIRS) -> None:
    """Write base, rows, a model's answers to all questions, and configuration into *folder*."""
    write_experiment(folder, text, "pairs.toml")
    answers = [
        f'"I feel {a} and {b}, and {c}. What can I do?","{_answer(i, a)}"'
        for i, (a, b, c) in enumerate(permutations(FEELINGS, 3))
    ]
    (folder / "answers.csv").write_text("\n".join(["question,text", *answers]) + "\n")


def _answer(i: int, feeling: str) -> str:
    """Return a shorter or a longer answer than the reference."""
    return f"Do not be {feeling}." if i % 2 else f"You should never again be so very {feeling} ."
