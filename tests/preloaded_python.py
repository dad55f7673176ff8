"""In the place of the interpreter: has a server of ``preloaded`` run a module or code.

It ends as that does, and starts in some milliseconds: it imports little and no site-packages.
``REAL`` and ``VARIABLES`` are written above this by ``preloaded``.
"""

# ruff: noqa: PTH109, PTH118, PTH120 - importing pathlib takes as long as all of this
# json, socket and signal, which are written in Python, would take longer than all of this

import _signal
import _socket
import array
import marshal
import os
import sys

READ_BY_IMPORTS = ("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "TORCH", "PYTORCH_", "CUDA_", "MPL",
                   "BNB_", "ACCELERATE_", "PYTHON", "LC_", "LANG")  # fmt: skip
NOT_THESE = ("PYTHONPATH", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_HUB_OFFLINE", "PYTHONUNBUFFERED",
             "PYTHONDONTWRITEBYTECODE", "TORCHINDUCTOR_CACHE_DIR")  # fmt: skip
# the last is set by torch itself, in whoever imports it; a server's fork heeds HF_HUB_OFFLINE


def is_read_by_imports(name: str) -> bool:
    """Tell whether a variable may be read when a library is imported."""
    return name.startswith(READ_BY_IMPORTS) and name not in NOT_THESE


def main() -> None:
    """Ask a server; become the interpreter where a server cannot do the same."""
    arguments = sys.argv[1:]
    unbuffered = arguments[:1] == ["-u"]
    asked = arguments[1:] if unbuffered else arguments
    ours = {name: value for name, value in os.environ.items() if is_read_by_imports(name)}
    if asked[:1] not in (["-m"], ["-c"]) or ours != VARIABLES:  # noqa: F821
        os.execv(REAL, [REAL, *arguments])  # noqa: F821
    umask = os.umask(0)
    os.umask(umask)
    request = {
        "arguments": asked[1:], "cwd": os.getcwd(), "env": dict(os.environ), "umask": umask,
        "python": sys.argv[0], "unbuffered": unbuffered, "is_code": asked[0] == "-c",
    }  # fmt: skip
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    folder = os.path.dirname(sys.argv[0])
    server.connect(os.path.join(folder, f"socket-{1 + os.urandom(1)[0] % 2}"))
    text = marshal.dumps(request)
    streams = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
    server.sendmsg([len(text).to_bytes(8, "big")], [streams])
    server.sendall(text)
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGUSR2):
        _signal.signal(number, lambda n, _: server.sendall(bytes([n])))
    answer = server.recv(16)
    code = int(answer) if answer else 1
    if code < 0:
        _signal.signal(-code, _signal.SIG_DFL) if -code != _signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
