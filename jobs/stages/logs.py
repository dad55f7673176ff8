"""What a task logs: its own progress, and of the libraries only warnings."""

import logging
import time

from jobs import PACKAGES

_ADVISERS = ("bitsandbytes",)
"""Libraries that warn of packages which nothing here needs, whether they are used or only loaded;
what they cannot do, they raise."""


def log_progress(line: str = "%(asctime)s %(levelname)s %(name)s: %(message)s") -> None:
    """Send what is logged to standard error, in the format *line* of ``logging``.

    Times are in UTC and end with Z: nodes may be in other time zones.
    """
    formatter = logging.Formatter(line)
    formatter.converter = time.gmtime
    formatter.default_msec_format = "%s,%03dZ"
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for package in PACKAGES:
        logging.getLogger(package).setLevel(logging.INFO)
    for library in _ADVISERS:
        logging.getLogger(library).setLevel(logging.ERROR)
