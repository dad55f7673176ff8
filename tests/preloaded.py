"""Processes that need not import the heavy libraries: copies of one that has.

Half of the time of a small run is the import of torch, transformers and peft, in each of its
processes. So a server imports them, and this suite, once, and forks for each command; `python` is a
program that takes the place of the interpreter, gives such a fork its own files, folder, variables
and arguments, and ends as it ends. A fork whose PYTHONPATH names another copy of the suite imports
that.

Array tasks of Slurm are such forks where a test names `python` as the nodes' (``slurm.python``):
where it neither stops nor looks into them.

There are two servers, whose hashes of strings differ, so that what is equal in two runs is not so
by an order that one process alone has. What ends with signals, or sets variables that libraries
read when they are imported, is a process of its own: see `preloaded_python`.
"""

import atexit
import ctypes
import gc
import marshal
import os
import pkgutil
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from filelock import FileLock

from tests import preloaded_python

HOME = "SUITE_TESTS_PRELOADED"
"""Variable that names the folder of the servers of this session of tests, and who ends them."""

ROOT = str(Path(__file__).parents[1])
HASH_SEEDS = ("1", "2")
LARGE_PAGE, MADV_COLLAPSE = 2**21, 25
"""Bytes, and a number of Linux's ``mman.h`` that Python does not know."""

LIBRARIES = (
    "polars", "pyarrow", "scipy.stats", "scipy.special", "sklearn.feature_extraction.text", "bs4",
    "pydantic", "jinja2", "submitit", "sacrebleu", "rapidfuzz.distance", "rouge_score.rouge_scorer",
    "matplotlib.figure", "matplotlib.backends.backend_svg", "matplotlib.backends.backend_pdf",
    "torch", "torch.utils.tensorboard", "transformers", "peft", "bitsandbytes", "accelerate",
    "bert_score", "sentence_transformers", "datasets", "evaluate", "gguf",
    "aiohttp.web",
)  # fmt: skip
MANY_TESTS = 12
_worth_while = False
_modules: dict[str, list[str]] = {}
"""Package of ours → what of it a server has imported: a fork that looked would copy many pages."""
SUITE = ("empathy_core", "jobs", "reports", "slurm")
LAZY = ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "AutoTokenizer", "Trainer",
        "LlamaForCausalLM", "T5ForConditionalGeneration", "PreTrainedTokenizerFast")  # fmt: skip
"""Names of transformers that are imported on first use."""


# ---------------------------------------------------------------------------- for tests


def begin_session() -> None:
    """Choose the folder of this session's servers, which start on first use."""
    folder = Path(tempfile.mkdtemp(prefix="preloaded-"))
    os.environ[HOME] = f"{os.getpid()}:{folder}"
    known = {"REAL": sys.executable, "VARIABLES": _read_by_imports()}
    lines = [f"#!{sys.executable} -IS", *(f"{name} = {value!r}" for name, value in known.items())]
    program = folder / "python"
    program.write_text("\n".join([*lines, Path(preloaded_python.__file__).read_text()]))
    program.chmod(0o755)


def expect(n_tests: int) -> None:
    """Start no server for a few tests: that takes as long as they would save."""
    global _worth_while  # noqa: PLW0603  of this process
    _worth_while = n_tests >= MANY_TESTS


def end_session() -> None:
    """Remove what `begin_session` made; servers end with this process."""
    shutil.rmtree(os.environ.pop(HOME).partition(":")[2], ignore_errors=True)


def python() -> str:
    """Return the program to start instead of the interpreter."""
    owner, _, folder = os.environ.get(HOME, "").partition(":")
    if not _worth_while or not folder or not hasattr(os, "pidfd_open"):
        return sys.executable
    with FileLock(f"{folder}/lock"):
        for seed in HASH_SEEDS:
            if not Path(folder, f"socket-{seed}").exists():
                _start(owner, Path(folder), seed)
    return f"{folder}/python"


def _read_by_imports() -> dict[str, str]:
    return {n: v for n, v in os.environ.items() if preloaded_python.is_read_by_imports(n)}


def _start(owner: str, folder: Path, seed: str) -> None:
    """Start a server; who asks it before it has imported everything waits."""
    left_out = {*_read_by_imports(), "OMP_NUM_THREADS", "MKL_NUM_THREADS"}
    env = {name: value for name, value in os.environ.items() if name not in left_out}
    env |= {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONHASHSEED": seed, "PYTHONPATH": ROOT}
    env |= {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # see `_use_large_pages`
    with socket.socket(socket.AF_UNIX) as listening, (folder / f"log-{seed}").open("w") as log:
        listening.bind(str(folder / f"socket-{seed}"))
        listening.listen(256)
        subprocess.Popen(
            [sys.executable, "-m", "tests.preloaded", owner, str(listening.fileno())],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[listening.fileno()],
            start_new_session=True,
        )


# ---------------------------------------------------------------------------- the server


class Server:
    """Forks for each command that it is asked for; single-threaded, so that forks are sound."""

    def __init__(self, owner: int, listening: socket.socket) -> None:
        self._selector = selectors.DefaultSelector()
        self._selector.register(os.pidfd_open(owner), selectors.EVENT_READ, self._end)
        self._selector.register(listening, selectors.EVENT_READ, self._accept)
        self._listening = listening
        self._pids: dict[socket.socket, int] = {}

    def serve(self) -> None:
        """Answer until the owner of this session is gone."""
        while True:
            for key, _ in self._selector.select():
                key.data(key.fileobj)

    def _end(self, _: Any) -> None:
        for pid in self._pids.values():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(Path(self._listening.getsockname()).parent, ignore_errors=True)
        os._exit(0)

    def _accept(self, listening: socket.socket) -> None:
        connection, _ = listening.accept()
        self._selector.register(connection, selectors.EVENT_READ, self._begin)

    def _begin(self, connection: socket.socket) -> None:
        """Fork for the command that is asked for; what comes after it is the asker's end."""
        received = _receive(connection)
        self._selector.unregister(connection)
        if received is None:
            connection.close()
            return
        asked, descriptors = received
        pid = os.fork()
        if pid == 0:
            self._selector.close()
            self._listening.close()
            for other in [connection, *self._pids]:
                other.close()
            try:
                _become(asked, descriptors)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        for descriptor in descriptors:
            os.close(descriptor)
        self._pids[connection] = pid
        self._selector.register(connection, selectors.EVENT_READ, self._kill)
        process = os.pidfd_open(pid)
        self._selector.register(process, selectors.EVENT_READ, lambda p: self._tell(p, connection))

    def _kill(self, connection: socket.socket) -> None:
        """End the command of an asker that is gone, or pass on the signal that it got."""
        if connection not in self._pids:
            return
        word = connection.recv(1)
        os.kill(self._pids[connection], word[0] if word else signal.SIGKILL)
        if not word:
            self._selector.unregister(connection)

    def _tell(self, process: int, connection: socket.socket) -> None:
        """Say how a command has ended."""
        self._selector.unregister(process)
        os.close(process)
        _, status = os.waitpid(self._pids.pop(connection), 0)
        if connection in self._selector.get_map():
            self._selector.unregister(connection)
            with suppress(BrokenPipeError):
                connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        connection.close()


def _receive(connection: socket.socket) -> tuple[dict[str, Any], Sequence[int]] | None:
    """Return what is asked for, and its standard streams; null if nothing is."""
    length, descriptors, _, _ = socket.recv_fds(connection, 8, 3)
    if len(length) < 8:
        return None
    text = b""
    while len(text) < int.from_bytes(length, "big"):
        text += connection.recv(2**20)
    return marshal.loads(text), descriptors


def _become(asked: dict[str, Any], descriptors: Sequence[int]) -> None:
    """Be the command, and end."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setpgid(0, 0)
    os.chdir(asked["cwd"])
    os.umask(asked["umask"])
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))  # noqa: SIM115
    sys.stdout.reconfigure(write_through=asked["unbuffered"])
    sys.stderr.reconfigure(line_buffering=True, errors="backslashreplace")
    # Slurm's tasks are started by the interpreter itself
    sys.executable = asked["python"] if "SLURM_CONF" not in os.environ else sys.executable
    sys.argv = asked["arguments"]
    paths = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    rest = [p for p in sys.path[1:] if p != ROOT]
    sys.path[:] = [os.getcwd(), *paths, *rest, ROOT]  # noqa: PTH109  last, as where it is installed
    other = ("tests",) if paths[:1] == [ROOT] else ("tests", *SUITE)
    for name in [sys.argv[0], *(name for package in other for name in _modules[package])]:
        sys.modules.pop(name, None)
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        import_module("huggingface_hub.constants").HF_HUB_OFFLINE = True  # read when imported
    if "OMP_NUM_THREADS" in os.environ:
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    what = sys.argv[0]
    if asked["is_code"]:
        sys.argv[0] = "-c"
        os._exit(_run(lambda: _run_code(what)))
    os._exit(_run(lambda: runpy.run_module(what, run_name="__main__", alter_sys=True)))


def _run_code(text: str) -> None:
    """Run what follows ``-c``."""
    sys.modules["__main__"] = main_ = ModuleType("__main__")
    exec(compile(text, "<string>", "exec"), vars(main_))


def _run(program: Callable[[], object]) -> int:
    """Run a program as the interpreter would, and return the exit code."""
    code: Any = 0
    try:
        program()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return int(code or 0)


def _warm_up() -> None:
    """Compile the templates of reports and draw a figure: what that makes, each report needs."""
    for module, name in (("reports.page.html", "_html"), ("reports.latex.table", "_tex")):
        templates = getattr(import_module(module), name)()
        for template in templates.list_templates(extensions=["j2"]):
            templates.get_template(template)
    drawn = import_module("reports.figures.training").figure(
        "warm", "", "", lambda drawing: drawing.subplots().plot([0, 1]), (1.0, "stamp")
    )
    assert drawn.files


def _forget_the_end() -> None:
    """Leave out what libraries would do at the end of a fork for what they imported.

    To let go of their objects one by one takes a third of a small command.
    """
    for known in weakref.finalize._registry.values():  # type: ignore[attr-defined]
        known.atexit = False
    atexit.unregister(import_module("torch._dynamo.utils").dump_compile_times)


def _use_large_pages() -> None:
    """Put the memory of this process into large pages, where Linux can.

    A fork begins with a copy of the list of all pages and ends with a walk through it; half a
    gigabyte in small ones takes longer than most commands.
    """
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text().splitlines():
            place, modes, _, _, _, *name = line.split(None, 5)
            if modes == "rw-p" and name in ([], ["[heap]"]):
                start, end = (int(number, 16) for number in place.split("-"))
                for page in range(-(-start // LARGE_PAGE) * LARGE_PAGE, end, LARGE_PAGE):
                    madvise(page, min(LARGE_PAGE, end - page), MADV_COLLAPSE)  # or it stays


def main(owner: str, descriptor: str) -> None:
    """Import everything, then serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in LIBRARIES:
        import_module(name)
    for name in LAZY:
        getattr(import_module("transformers"), name)
    for name in SUITE:
        for module in pkgutil.walk_packages(import_module(name).__path__, f"{name}."):
            import_module(module.name)
    _warm_up()
    for package in ("tests", *SUITE):
        _modules[package] = [m for m in sys.modules if m.partition(".")[0] == package]
    gc.freeze()  # a fork copies no page because its collector has looked at it
    _forget_the_end()
    _use_large_pages()
    Server(int(owner), socket.socket(fileno=int(descriptor))).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
