"""The progress bar of the local executor: rows, tokens/s, time left."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class ProgressBar:
    """A bar on the terminal; in a log, a line now and then."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet

    @contextmanager
    def stage(self, name: str, unit: str, total: int) -> Iterator[Callable[[int, int], None]]:
        """Show one stage, and yield what to call with (rows, tokens) as they are done."""
        from tqdm import tqdm

        on_terminal = sys.stderr.isatty()
        started, tokens, lock = time.monotonic(), 0, threading.Lock()
        bar = tqdm(
            total=total,
            desc=name,
            unit=f" {unit}",
            disable=self._quiet,
            dynamic_ncols=on_terminal,
            mininterval=0.2 if on_terminal else 15,
        )

        def advance(n_rows: int, n_tokens: int) -> None:
            nonlocal tokens
            with lock:
                tokens += n_tokens
                if tokens:
                    rate = tokens / (time.monotonic() - started)
                    bar.set_postfix_str(f"{rate:.0f} tokens/s", refresh=False)
                bar.update(n_rows)

        with bar:
            yield advance
