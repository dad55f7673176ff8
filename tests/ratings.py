"""Public ratings for tests and simulations: read where they lie beside the repository."""

import csv
import gzip
from functools import lru_cache
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "ratings"
MENTALALIGN, KUMAR = FOLDER / "mentalalign_ratings.csv.gz", FOLDER / "kumar_epitome_ratings.csv"
ATTRIBUTES = (
    "guidance", "informativeness", "relevance", "safety", "empathy", "helpfulness", "understanding",
)  # fmt: skip
JUDGES = ("claude", "gemini", "gpt-4o", "o4-mini")
MECHANISMS = ("level_emotional_reactions", "level_interpretations", "level_explorations")
EXPERTS = ("expert1", "expert2", "expert3")


@lru_cache(maxsize=1)
def mentalalign() -> dict[tuple[str, str], np.ndarray]:
    """Return by (rater, model) the ratings (attributes, 1,000 questions), NaN outside 1 to 5."""
    found: dict[tuple[str, str], np.ndarray] = {}
    with gzip.open(MENTALALIGN, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            key = (row["rater"], row["model"])
            table = found.setdefault(key, np.full((len(ATTRIBUTES), 1000), np.nan))
            values = [float(row[of] or "nan") for of in ATTRIBUTES]
            column = int(row["question"]) - 1
            table[:, column] = [of if 1 <= of <= 5 else np.nan for of in values]
    return found


@lru_cache(maxsize=1)
def kumar() -> dict[str, np.ndarray]:
    """Return by rater the EPITOME levels 0 to 2 (mechanisms, 50 conversations)."""
    with KUMAR.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    place = {of: i for i, of in enumerate(sorted({row["conversation"] for row in rows}))}
    found: dict[str, np.ndarray] = {}
    for row in rows:
        table = found.setdefault(row["rater"], np.full((len(MECHANISMS), len(place)), np.nan))
        table[:, place[row["conversation"]]] = [float(row[of] or "nan") for of in MECHANISMS]
    return found
