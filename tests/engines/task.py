"""A task that starts a family server: ``python -m tests.engines.task LOG [fault …]``.

Prints ``ready`` once the server answers, and ``ended`` once it has noticed that it is dead.
"""

import sys
import time
from pathlib import Path

from empathy_core.backends.server.process import ServerLaunch, ServerProcess
from tests.engines.family import FAMILY


def main() -> None:
    """Start the server, and watch it."""
    log, faults = Path(sys.argv[1]), sys.argv[2:]
    command = (sys.executable, "-IS", FAMILY, "{port}", "{served_name}", *faults)
    server = ServerProcess(
        ServerLaunch("family", command, {"FAMILY_KEY": "{key}"}, log), grace_s=0.3
    )
    server.start()
    print("ready", flush=True)
    while server.is_alive():
        time.sleep(0.02)
    print("ended", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main()
