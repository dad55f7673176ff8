"""What a task's log holds: its own progress, libraries' warnings, and no advice on packages."""

import logging

import pytest

from jobs.stages.logs import log_progress


@pytest.fixture
def levels():
    """Put back the levels of loggers, and the root's handlers."""
    names = ("", "jobs", "empathy_core", "reports", "slurm", "bitsandbytes")
    loggers = {logging.getLogger(name): logging.getLogger(name).level for name in names}
    handlers = list(logging.getLogger().handlers)
    yield
    for logger, level in loggers.items():
        logger.setLevel(level)
    logging.getLogger().handlers = handlers


@pytest.mark.usefixtures("levels")
def test_a_log_has_progress_and_warnings_but_no_advice_on_packages(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log_progress("%(levelname)s %(message)s")
    logging.getLogger("jobs.stages.finetune").info("step 1 of 2")
    logging.getLogger("somebody").info("a detail")
    logging.getLogger("somebody").warning("this is slow")
    logging.getLogger("bitsandbytes.backends.cpu.ops").warning("pip install kernels")
    logging.getLogger("bitsandbytes").error("no such device")
    said = capsys.readouterr().err.splitlines()
    assert said == ["INFO step 1 of 2", "WARNING this is slow", "ERROR no such device"]
