"""What a task logs: its own progress, and of the libraries only warnings."""

import logging

from jobs import PACKAGES


def log_progress(line: str = "%(asctime)s %(levelname)s %(name)s: %(message)s") -> None:
    """Send what is logged to standard error, in the format *line* of ``logging``."""
    logging.basicConfig(level=logging.WARNING, format=line, force=True)
    for package in PACKAGES:
        logging.getLogger(package).setLevel(logging.INFO)
