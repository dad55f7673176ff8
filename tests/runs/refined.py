"""A small refinement of echoes, whose replies depend on the prompt by chance alone."""

from pathlib import Path

from tests.runs.command_line import write_config

REFINED = """
name = "echo"
[data.sources.sample]
[data]
fractions = [0.05, 0.55, 0.4]
[evaluate]
block_size = 4
limit = 32
[decoding.greedy]
[models.echo]
prompts = ["none", "prompt1"]
[metrics.rouge]
[metrics.length]
[report]
columns = ["rouge1", "words"]
[local]
workers = 1
threads = 1
[refine.shorter]
model = "echo"
parent = "prompt2"
candidates = ["prompt1", "none"]
candidates_file = "more.jsonl"
target = "rougeL"
direction = "lower"
report_by = "rouge1"
rounds = [6, 12, 18]
worst_of = 5
proposer = "echo"
proposals = 3
tested = 2
"""
"""ROUGE-L is to fall: with these words, some candidates do worse than the parent."""

FILE = """\
{"instructions": "Say what the person may feel, then ask.", "name": "asks"}
{"predict": {"signature": {"instructions": "Be brief."}}}
"""

CALL = ("refine", "--config", "echo.toml", "--executor", "local")


def write_refined(folder: Path, text: str = REFINED) -> None:
    """Write the configuration and the file of instructions."""
    write_config(folder, text)
    (folder / "more.jsonl").write_text(FILE)
