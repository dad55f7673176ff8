"""A server that a task starts: its port, key and name, how it is waited for, its failures."""

import json
import logging
import os
import socket
import stat
import sys
from contextlib import closing
from pathlib import Path

import pytest

from empathy_core.backends.server import process
from empathy_core.backends.server.process import ServerLaunch, ServerProcess, request, reserve_port
from empathy_core.errors import ConfigError, EmpathyError, EngineError
from jobs.executors.failures import kind
from tests.engines.conftest import MakeLaunch
from tests.engines.families import kill, left_of, roles, writing_to
from tests.engines.family import FAMILY

pytestmark = pytest.mark.slow  # it starts servers


def _error(launch: ServerLaunch) -> EmpathyError:
    """Return what is said of a server that does not start; nothing of it is left."""
    with pytest.raises(EmpathyError) as caught:
        ServerProcess(launch, grace_s=0.3).start()
    if launch.log.exists():
        assert left_of(launch.log, patience_s=0) == {}
    text = str(caught.value)
    assert "expected" in text
    assert "\n" not in text
    return caught.value


def test_a_server_answers_for_its_name_with_its_key_until_it_is_closed(family: MakeLaunch):
    """Health needs no key, the models do; after the end of the block nothing is left."""
    launch = family()
    with ServerProcess(launch, grace_s=0.3) as server:
        assert server.is_alive()
        assert request(f"{server.url}/v1/models")[0] == 401
        status, body = request(f"{server.url}/v1/models", server.key)
        assert status == 200
        assert server.served_name in body.decode()

    assert not server.is_alive()
    assert left_of(launch.log, patience_s=0) == {}


def test_the_key_stands_in_no_arguments_log_or_error(
    family: MakeLaunch, caplog: pytest.LogCaptureFixture
):
    """Only the server and what it starts have it; what it prints of it is blotted out."""
    caplog.set_level(logging.DEBUG)
    launch = family()
    with ServerProcess(launch, grace_s=0.3) as server:
        lines = [path.read_bytes() for path in _readable("cmdline")]
        holders = {int(p.parent.name) for p in _readable("environ") if _holds(p, server.key)}
        supervisors = {roles(launch.log)[role] for role in ("outer", "inner")}
        family_ids = set(writing_to(launch.log)) - supervisors

        assert not any(server.key.encode() in line for line in lines)
        assert holders == family_ids
    assert server.key not in launch.log.read_text()
    assert server.key not in caplog.text

    told = ServerProcess(family("tells-key"), grace_s=0.3)
    with pytest.raises(EngineError, match=r"my key is \[key\]") as caught:
        told.start()
    assert told.key not in str(caught.value)


def _readable(name: str) -> list[Path]:
    return [p for p in Path("/proc").glob(f"[0-9]*/{name}") if os.access(p, os.R_OK)]


def _holds(path: Path, key: str) -> bool:
    try:
        return key.encode() in path.read_bytes()
    except OSError:
        return False


def test_a_command_with_the_key_in_its_arguments_is_refused(tmp_path: Path):
    """All users of a node can read arguments."""
    launch = ServerLaunch("own", ("server", "--api-key={key}"), {}, tmp_path / "log.txt")

    with pytest.raises(ConfigError, match="expected \\{key\\} in 'environment' only"):
        ServerProcess(launch)


def test_other_braces_of_a_command_stay(tmp_path: Path):
    """JSON in an argument reaches the server as it is written."""
    assert process.filled('{"a": {"b": "{port}"}}', {"port": "7"}) == '{"a": {"b": "7"}}'


def test_the_server_gets_the_variables_of_the_task_but_not_its_modules(
    family: MakeLaunch, monkeypatch: pytest.MonkeyPatch
):
    """PYTHONPATH of the task would bring modules of another Python."""
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("FAMILY_SETTING", "seen")
    launch = family()
    with ServerProcess(launch, grace_s=0.3):
        server = roles(launch.log)["server"]
        environment = Path(f"/proc/{server}/environ").read_bytes().split(b"\0")

    assert b"FAMILY_SETTING=seen" in environment
    assert not any(line.startswith(b"PYTHONPATH=") for line in environment)


# ---------------------------------------------------------------------------- ports


def test_nobody_else_gets_a_reserved_port_and_a_server_may_listen_on_it():
    """With the option that servers set it can be bound; without, or by chance, it cannot."""
    with closing(reserve_port()) as reservation, closing(socket.socket()) as other:
        address = reservation.getsockname()
        with pytest.raises(OSError, match="in use"):
            other.bind(address)
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            with closing(socket.socket()) as server:
                server.setsockopt(socket.SOL_SOCKET, option, 1)
                server.bind(address)
                server.listen()
                with closing(socket.create_connection(address, timeout=60)):
                    pass


def test_a_server_that_takes_only_a_free_port_is_started_on_another(
    family: MakeLaunch, caplog: pytest.LogCaptureFixture
):
    """It refuses the reserved one, and is started again without a reservation."""
    caplog.set_level(logging.INFO)
    with ServerProcess(family("strict"), grace_s=0.3) as server:
        assert server.is_alive()

    assert "is taken; trying another" in caplog.text


def test_a_port_taken_between_choosing_and_binding_is_left_to_its_owner(
    family: MakeLaunch, monkeypatch: pytest.MonkeyPatch
):
    """The server is started on the next one."""
    with closing(socket.socket()) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        taken, real = stranger.getsockname()[1], process.reserve_port
        reserved = []

        def reserve() -> object:
            reserved.append(real())
            return _Named(reserved[-1], taken) if len(reserved) == 1 else reserved[-1]

        monkeypatch.setattr(process, "reserve_port", reserve)
        with ServerProcess(family(), grace_s=0.3) as server:
            assert server.url != f"http://127.0.0.1:{taken}"
            assert len(reserved) == 2


class _Named:
    """A reservation that names another port than it holds."""

    def __init__(self, reservation: socket.socket, port: int) -> None:
        self._reservation, self._port = reservation, port

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", self._port)

    def close(self) -> None:
        self._reservation.close()


def test_a_port_that_is_always_taken_is_an_error(
    family: MakeLaunch, monkeypatch: pytest.MonkeyPatch
):
    """It is not tried for ever."""
    with closing(socket.socket()) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        taken, real = stranger.getsockname()[1], process.reserve_port
        monkeypatch.setattr(process, "reserve_port", lambda: _Named(real(), taken))
        monkeypatch.setattr(process, "STARTS", 2)

        assert "taken by another program" in str(_error(family()))


def test_two_servers_on_one_node_have_two_ports_names_and_keys(family: MakeLaunch, tmp_path: Path):
    """Neither answers for the other."""
    second = ServerLaunch(
        "other", family().command, {"FAMILY_KEY": "{key}"}, tmp_path / "other.txt"
    )
    with ServerProcess(family(), grace_s=0.3) as one, ServerProcess(second, grace_s=0.3) as other:
        assert one.url != other.url
        assert one.served_name != other.served_name
        assert request(f"{other.url}/v1/models", one.key)[0] == 401


# ---------------------------------------------------------------------------- ends and restarts


@pytest.mark.parametrize("role", ["server", "outer", "inner"])
def test_a_server_that_was_killed_is_started_again(role: str, family: MakeLaunch):
    """The same key and name serve on; nothing of the first one is left."""
    launch = family("stubborn")
    with ServerProcess(launch, grace_s=0.3) as server:
        key, name, first = server.key, server.served_name, set(writing_to(launch.log))
        kill(roles(launch.log)[role])
        while server.is_alive():
            pass
        server.restart()

        assert (server.key, server.served_name) == (key, name)
        assert request(f"{server.url}/v1/models", key)[0] == 200
        assert not first & set(writing_to(launch.log))
    assert left_of(launch.log, patience_s=0) == {}


def test_a_closed_server_may_be_closed_again(family: MakeLaunch):
    """Closing is safe at any time."""
    server = ServerProcess(family(), grace_s=0.3)
    server.close()
    server.start()
    server.close()
    server.close()

    assert not server.is_alive()


# ---------------------------------------------------------------------------- failures


def test_a_program_that_is_not_there_is_a_configuration_error(tmp_path: Path):
    """The message names it."""
    error = _error(ServerLaunch("own", ("/nowhere/python", "-m", "x"), {}, tmp_path / "log.txt"))

    assert isinstance(error, ConfigError)
    assert "engine 'own': /nowhere/python cannot be started: there is no such program" in str(error)


def test_a_file_that_is_not_executable_is_a_configuration_error(tmp_path: Path):
    """Nor is a text a program."""
    program = tmp_path / "program"
    program.write_text("nothing")
    assert "it may not be executed" in str(
        _error(ServerLaunch("own", (str(program),), {}, tmp_path / "l"))
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)

    assert "it is no program" in str(
        _error(ServerLaunch("own", (str(program),), {}, tmp_path / "l"))
    )


@pytest.mark.parametrize(
    ("fault", "words", "class_"),
    [
        (
            "cuda",
            "out of memory before the server answered: torch.OutOfMemoryError",
            "out of memory",
        ),
        ("malloc", "out of memory before the server answered: RuntimeError", "out of memory"),
        ("cache", "the context window does not fit in memory beside the weights", "out of memory"),
        ("killed", "out of memory before the server answered: it was killed", "out of memory"),
        ("crash", "answered: ValueError: unknown architecture 'Nothing' (all of it:", "mistake"),
    ],
)
def test_why_a_server_ended_is_told(fault: str, words: str, class_: str, family: MakeLaunch):
    """With the cause from its log, not the lines that point to it; in the class that it has."""
    error = _error(family(fault))

    assert isinstance(error, EngineError)
    assert words in str(error)
    assert kind(error) == class_


def test_only_what_this_start_printed_counts(family: MakeLaunch):
    """The log of earlier starts is kept, and explains nothing."""
    assert kind(_error(family("cuda"))) == "out of memory"
    launch = family("crash")

    assert kind(_error(launch)) == "mistake"
    assert launch.log.read_text().count("starting\n") == 2


def test_a_server_that_prints_nothing_is_told_by_its_exit_code(tmp_path: Path):
    """As a program does that ends by itself."""
    command = (sys.executable, "-c", "import sys; sys.exit(7)")
    error = _error(ServerLaunch("own", command, {}, tmp_path / "log.txt"))

    assert "ended with exit code 7" in str(error)
    assert "it printed nothing" in str(error)


def test_a_server_that_never_answers_is_given_up(
    family: MakeLaunch, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """Until then the log says how long it has waited, and what the server said last."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(process, "TOLD_AFTER_S", 0.5)
    monkeypatch.setattr(process, "TOLD_AGAIN_S", 0.5)
    error = _error(family("hangs", start_timeout_s=10.0))

    assert "did not answer within 10 s; its log ends: loading shard 3 of 4" in str(error)
    assert "its log says: loading shard 3 of 4" in caplog.text


def test_a_server_that_serves_another_name_is_refused(family: MakeLaunch):
    """It may be another's, or the command does not pass the name on."""
    launch = family()
    command = tuple("llama" if part == "{served_name}" else part for part in launch.command)
    error = _error(ServerLaunch("family", command, launch.environment, launch.log))

    assert "serves llama when asked for its models" in str(error)


@pytest.mark.parametrize(("lives", "n_asked"), [(True, 3), (False, 1)])
def test_a_busy_server_is_asked_for_its_models_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lives: bool, n_asked: int
):
    """Twice silent on a busy node and then right; one that has ended is not waited for."""
    server = ServerProcess(ServerLaunch("busy", ("x",), {}, tmp_path / "log"))
    right = json.dumps({"data": [{"id": server.served_name}]}).encode()
    replies = [(0, b""), (0, b""), (200, right)]
    asked: list[str] = []

    def reply(address: str, _key: str = "", **_: float) -> tuple[int, bytes]:
        asked.append(address)
        return replies[len(asked) - 1]

    monkeypatch.setattr(process, "request", reply)
    monkeypatch.setattr(process, "PATIENCE_S", (0,) * 5)
    monkeypatch.setattr(ServerProcess, "is_alive", lambda _: lives)

    if lives:
        server._check_model()
    else:
        with pytest.raises(EngineError, match="answers nothing"):
            server._check_model()
    assert len(asked) == n_asked


def test_a_server_with_another_key_is_refused(family: MakeLaunch):
    """A request that it would not answer is not sent."""
    launch = family()
    error = _error(ServerLaunch("family", launch.command, {"FAMILY_KEY": "other"}, launch.log))

    assert "answers 401 when asked for its models" in str(error)


def test_what_speaks_no_http_is_waited_for(tmp_path: Path):
    """It is not taken for a healthy server."""
    code = (
        "import socket,sys\ns=socket.socket()\ns.setsockopt(1,2,1)\n"
        "s.bind(('127.0.0.1',int(sys.argv[1])))\ns.listen()\n"
        "while 1:\n c=s.accept()[0];c.recv(99);c.send(b'220 hello\\r\\n\\r\\n');c.close()"
    )
    command = (sys.executable, "-ISc", code, "{port}")
    error = _error(ServerLaunch("own", command, {}, tmp_path / "log.txt", start_timeout_s=1.0))

    assert "did not answer within 1 s" in str(error)


def test_the_family_of_the_tests_is_a_file():
    """What the launches of these tests start is there."""
    assert Path(FAMILY).is_file()
