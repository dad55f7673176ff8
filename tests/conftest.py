"""What holds for all tests: none rests on the speed of the machine."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from tests import preloaded, slow
from tests.runs.command_line import launch

settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """Let all workers of this session share the processes that have imported everything.

    Workers share the cores as well: of two threads that wait for each other on a core that others
    use, each takes three times as long.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    else:
        preloaded.begin_session()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers ``-n auto`` means."""
    from tests.lanes import n_workers

    return n_workers()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return what tells workers their modules, where these stay whole."""
    from tests.lanes import Lanes

    return Lanes(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, before ``-m`` chooses."""
    slow.select(items)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect no garbage while all modules are imported, and leave these alone from then on.

    What is imported is not let go of; to look through all of it takes most of a second each time.
    """
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say how many tests there will be."""
    preloaded.expect(len(session.items))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what they left."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        preloaded.end_session()


# ---------------------------------------------------------------------------- made once a session


def _once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that one worker of this session makes, and all others wait for."""
    worker = "PYTEST_XDIST_WORKER" in os.environ
    root = factory.getbasetemp().parent if worker else factory.getbasetemp()
    folder, done = root / name, root / f"{name}.done"
    with FileLock(root / f"{name}.lock"):
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole sweep: two adapters trained, answers of base and adapters, tables.

    A test that changes anything in it copies it first.
    """
    from tests.runs.finetunes import TUNED, write_experiment  # brings torch

    def make(folder: Path) -> None:
        write_experiment(folder, TUNED)
        done = launch("sweep", "--config", "tuned.toml", "--executor", "local", cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr

    return _once(tmp_path_factory, "tuned", make)


@pytest.fixture(scope="session")
def long_adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapter of the long training, which nothing disturbed."""
    from tests.runs.finetunes import LONG, adapters, write_experiment

    def make(folder: Path) -> None:
        write_experiment(folder, LONG)
        done = launch("finetune", "--config", "tuned.toml", "--executor", "local", cwd=folder)
        assert done.returncode == 0, done.stderr

    folder = _once(tmp_path_factory, "long-training", make)
    [adapter] = adapters(folder / "runs" / "tuned").values()
    return adapter


@pytest.fixture(scope="session")
def vllm_python() -> str:
    """Return vLLM's interpreter; skip where there is none; in CI that is a failure."""
    default = Path(__file__).parents[1] / ".engines" / "vllm" / "bin" / "python"
    python = Path(os.environ.get("EMPATHY_VLLM_PYTHON", default))
    if python.exists():
        return str(python)
    message = f"vLLM is not installed in {python}; run: make engines"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
