"""How often planted judges are named for their faults, and clean judges for any.

Clean judges differ in temper and noise, and lean a little to the first place; the conditions that
they judge differ in quality and length, and within a condition quality and length correlate by
0, 0.15 or 0.3: the last is where the harmless range ends. Asked: a clean judge is named by any
check in at most 5 % of the cases. Of 1,000 cases each, 0.5 % at most were.

What a check is allowed to be wrong is shared by all, so that with 20 or 30 questions no judge is
named for a share of 1 ("always five" takes 32), and of those that prefer at random 4 of 10 are;
with 100 questions all faults were found in all cases.

    nice python tests/benchmarks/simulate_judges.py [experiments]
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.planted_judges import FAULTS, clean, faulty, panel, replies

EXPERIMENTS = 1000
DESIGNS = ((20, 4), (30, 3), (100, 4), (300, 6))
"""Questions and conditions."""


def main() -> None:
    """Print the shares in percent."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else EXPERIMENTS
    random = np.random.default_rng(17)
    for n_questions, n_conditions in DESIGNS:
        design = f"{n_questions} questions, {n_conditions} conditions"
        for within in (0.0, 0.15, 0.3):
            named: Counter[str] = Counter()
            for seed in range(n):
                of = replies(random, n_questions, n_conditions, within)
                found = panel(of, clean(random, of), seed % 8).named
                named.update([*found, "any"] if found else [])
            shares = {check: f"{100 * k / n:.1f}" for check, k in named.items()}
            print(f"clean, {design}, within {within}: {n:,} cases, {shares or 'never'}", flush=True)
        for fault, check in FAULTS.items():
            hits = 0
            for seed in range(n // 10):
                of = replies(random, n_questions, n_conditions)
                hits += check in panel(of, faulty(random, of, fault), seed % 8).named
            print(f"{fault}, {design}: {100 * hits / (n // 10):.0f}", flush=True)


if __name__ == "__main__":
    main()
