"""What a cluster's profile changes on the login node, and what is said where it is wrong."""

import os
from pathlib import Path

import pytest

from jobs.commands.console import use_cache_of_nodes
from jobs.executors.slurm.refusals import refused
from jobs.launch import main
from slurm.profile import Profile, Resources
from tests.runs.command_line import ECHO, write_config


def test_prefetch_fills_the_cache_that_the_profile_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """It filled the user's own, where no array task looks."""
    monkeypatch.setenv("HF_HOME", "/own")
    config = write_config(tmp_path, ECHO)
    profile = tmp_path / "mycluster.toml"
    profile.write_text(f'cache = "{tmp_path}/shared"\n')

    assert main(["prefetch", "--config", str(config)]) == 0
    assert os.environ["HF_HOME"] == "/own"
    assert main(["prefetch", "--config", str(config), "--profile", str(profile)]) == 0
    assert os.environ["HF_HOME"] == f"{tmp_path}/shared"
    assert (
        f"into {tmp_path}/shared (slurm.cache), where array tasks look" in capsys.readouterr().out
    )


def test_a_sweep_looks_where_its_array_tasks_will_if_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A cache that only nodes have changes nothing on the login node."""
    monkeypatch.setenv("HF_HOME", "/own")
    use_cache_of_nodes(None)
    use_cache_of_nodes(str(tmp_path / "only on nodes"))
    assert os.environ["HF_HOME"] == "/own"
    use_cache_of_nodes(str(tmp_path))
    assert os.environ["HF_HOME"] == str(tmp_path)


def test_a_configuration_beside_is_suggested_by_its_whole_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Without ``.toml`` a name means one that ships."""
    write_config(tmp_path, ECHO, "mine.toml")
    monkeypatch.chdir(tmp_path)

    assert main(["sweep", "--config", "mine", "--dry-run"]) == 2
    assert "unknown configuration 'mine'. Did you mean 'mine.toml'?" in capsys.readouterr().err


def test_a_refusal_says_what_was_asked_for_and_where_it_is_changed():
    """Slurm's words alone do not say which of a profile's lines is wrong."""
    given = Resources(partition="gpu", gpus=8, time_min=60)
    said = "Requested node configuration is not available"

    told = refused("the jobs 'mine.generate.echo'", given, said)
    assert told.startswith(f"Slurm would not take the jobs 'mine.generate.echo': {said}. ")
    assert "partition = gpu" in told
    assert "gpus = 8" in told
    assert "under [slurm] or in the profile" in told
    assert "[slurm] or [slurm.generate]" in refused("them", given, said, "generate")


def refusal(folder: Path, profile: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what is said of a profile that cannot be used."""
    config, path = write_config(folder, ECHO), folder / "mycluster.toml"
    path.write_text(profile)
    dry = ["sweep", "--config", str(config), "--profile", str(path), "--dry-run"]
    assert main(dry) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ('partiton = "cpu"', "with the cluster profile"),
        ('[slurm]\npartition = "cpu"', "take 'slurm' out of its lines in brackets"),
        ('python = ".venv/bin/python"', "expected a whole path, as /…/.venv/bin/python"),
    ],
)
def test_what_is_wrong_in_a_profile_is_said_of_the_profile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], profile: str, said: str
):
    """The configuration, which is right, was named alone; array tasks found no Python."""
    told = refusal(tmp_path, profile, capsys)

    assert said in told
    assert "mycluster.toml" in told or "slurm.python" in told


def test_a_python_of_the_users_home_is_a_whole_path():
    """In the quotes of a script a ~ means nothing."""
    assert Profile(python="~/venv/bin/python").python == str(Path.home() / "venv/bin/python")
    assert Profile(python="$VENV/bin/python").python == "$VENV/bin/python"
    assert Profile(python="python3").python == "python3"
