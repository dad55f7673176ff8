"""The paths of one prompt refinement of a run."""

from dataclasses import dataclass
from pathlib import Path

from empathy_core.store.rundir import RunDir, one_name


@dataclass(frozen=True, slots=True)
class RefinementDir:
    """The paths of one refinement: its own files, and a run directory for each step."""

    root: Path

    @classmethod
    def of(cls, run: RunDir, name: str) -> "RefinementDir":
        """Return the refinement of that name."""
        return cls(run.refinement(name))

    @property
    def settings(self) -> Path:
        """What was declared and which rows were drawn; frozen before anything is answered."""
        return self.root / "settings.json"

    @property
    def worst(self) -> Path:
        """The parent's worst replies, the worst first."""
        return self.root / "worst.csv"

    @property
    def briefs(self) -> Path:
        """What the proposer is shown, a line a proposal."""
        return self.root / "briefs.jsonl"

    @property
    def candidates(self) -> Path:
        """All candidates, a line each, those that were dropped with the reason; then frozen."""
        return self.root / "candidates.jsonl"

    @property
    def rankings(self) -> Path:
        """Each candidate in each round."""
        return self.root / "rankings.csv"

    @property
    def outcome(self) -> Path:
        """What came of it."""
        return self.root / "outcome.json"

    @property
    def chosen(self) -> Path:
        """The prompt that was best on validation."""
        return self.root / "chosen.toml"

    def prompt(self, name: str) -> Path:
        """A prompt that takes part."""
        return self.root / "prompts" / one_name(name, ".toml")

    def ids(self, step: str) -> Path:
        """Ids of the validation rows of a step."""
        return self.root / "rows" / one_name(step, ".txt")

    def step(self, name: str) -> RunDir:
        """The run of a step: ``worst``, ``propose``, ``round-1`` and so on, ``test``."""
        return RunDir(self.root / one_name(name))
