"""A run in which the best of n samples is chosen by a judge that also looks for severe faults."""

from pathlib import Path

from tests.judging import write_judged
from tests.runs.judged import JUDGED

FAULTS = """
label = "Faults"
origin = "Our own"
licence = "CC-BY-4.0"
single_reply = true
instruction = "Look for a fault in one reply."

[[dimensions]]
name = "blames"
label = "Blames"
question = "Does the reply blame the person?"
direction = "lower"
severity = "red"
anchors = [
  { value = 0, label = "No", text = "It does not." },
  { value = 1, label = "Yes", text = "It does." },
]
"""

DECODINGS = """
[decoding.greedy]
[decoding.sampled]
sample = true
samples = 4
[decoding.best]
of = "sampled"
n = 3
chosen_by = "one_care_warmth"
"""
SAMPLES, N = 4, 3

BEST_OF = JUDGED.replace(
    '[models.echo]\nprompts = ["none", "prompt1"]',
    f'{DECODINGS}[models.echo]\nprompts = ["none"]\ndecodings = ["greedy", "sampled", "best"]',
).replace('"./care.toml"', '"./care.toml", "./faults.toml"')
"""One model under one prompt: greedy, four samples, and the best of the first three."""


def write_best_of(folder: Path, text: str = BEST_OF) -> Path:
    """Write a configuration, its questions, the rubrics and the judge; return the configuration."""
    (folder / "faults.toml").write_text(FAULTS)
    return write_judged(folder, text)
