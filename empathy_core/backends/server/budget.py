"""What the tasks of a run may spend together: reserved before a request is sent.

One small file a run and engine, changed under a lock. A request reserves the most that it can
cost; once it is answered, the reservation becomes what it did cost. What a killed task had
reserved stays reserved: its requests may have been answered, and will be billed.
"""

from pathlib import Path

from empathy_core import store
from empathy_core.errors import Damaged, ModelError
from empathy_core.store.modes import file_mode
from empathy_core.types import EngineSpec


class Budget:
    """The budget of one engine in one run."""

    def __init__(self, engine: EngineSpec, path: Path) -> None:
        """Take an engine, and the path of the file that holds what is spent and reserved."""
        self.engine, self.path = engine, path
        self._settled = 0.0, 0  # written with the next reservation: each write is flushed

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all; without one nothing is written."""
        return self.engine.max_usd is not None or self.engine.max_requests is not None

    def reserve(self, n_prompt: int, n_output: int, n_requests: int = 1) -> float:
        """Reserve what requests can cost at most, and return it in US dollars.

        Args:
            n_prompt: Tokens of their prompts.
            n_output: Tokens that their answers may have.
            n_requests: How many they are.

        Raises:
            ModelError: It would go beyond the budget; nothing is reserved.
        """
        most = self.engine.cost(n_prompt, n_output)
        if self.is_limited:
            self._change(most, n_requests)
        return most

    def settle(self, reserved: float, n_prompt: int, n_output: int) -> None:
        """Replace what was reserved by what the answers did cost; see ``flush``."""
        self._add(self.engine.cost(n_prompt, n_output) - reserved, 0)

    def release(self, reserved: float, n_requests: int = 1) -> None:
        """Give back what was reserved for requests that were not answered; see ``flush``."""
        self._add(-reserved, -n_requests)

    def repeated(self) -> None:
        """Count a request that the client sends once more, by itself; see ``flush``.

        It is sent in any case, so that requests under way may go beyond the limit by these.
        """
        self._add(0.0, 1)

    def _add(self, usd: float, requests: int) -> None:
        self._settled = self._settled[0] + usd, self._settled[1] + requests

    def flush(self) -> None:
        """Write what was settled since the last reservation."""
        if self.is_limited and self._settled != (0.0, 0):
            self._change(0.0, 0)

    def spent(self) -> tuple[float, int]:
        """Return US dollars and requests, spent or reserved."""
        if not self.path.exists():
            return 0.0, 0
        try:
            kept = store.read_json(self.path)
            return float(kept["usd"]), int(kept["requests"])
        except (Damaged, KeyError, TypeError, ValueError) as error:
            msg = (
                f"{self.path} is damaged, so that it cannot be told what was spent; expected usd "
                'and requests; write {"usd": …, "requests": …} there, as your provider has them'
            )
            raise Damaged(msg) from error

    def _change(self, usd: float, requests: int) -> None:
        from filelock import FileLock

        store.make_dir(self.path.parent)
        lock = self.path.with_suffix(".lock")
        with FileLock(lock, mode=file_mode(lock)):
            spent, (settled_usd, settled) = self.spent(), self._settled
            now_usd, now = max(0.0, spent[0] + settled_usd), max(0, spent[1] + settled)
            if usd or requests:
                self._refuse_beyond(now_usd + usd, now + requests)
            store.write_json({"usd": now_usd + usd, "requests": now + requests}, self.path)
        self._settled = 0.0, 0

    def _refuse_beyond(self, usd: float, requests: int) -> None:
        most_usd, most = self.engine.max_usd, self.engine.max_requests
        over = most_usd is not None and usd > most_usd + 1e-12
        if not over and (most is None or requests <= most):
            return
        limit = f"max_usd = {most_usd:g}" if over else f"max_requests = {most}"
        would = f"{usd:.4f} US dollars" if over else f"{requests} requests"
        msg = (
            f"engine '{self.engine.name}': the budget is used up: {would} would be spent or "
            f"reserved, of {limit}; expected room for the next request, whose answer may have "
            "max_new_tokens; raise the limit and run sweep again: what is answered is kept"
        )
        raise ModelError(msg)
