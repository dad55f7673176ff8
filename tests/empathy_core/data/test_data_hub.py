"""Data sets from the Hub: loaded from a stand-in on loopback, then from the cache alone."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hub_stand_in import TOKEN, HubStandIn
from tests.runs.command_line import ROOT

PREPARE = """
import json, sys
from empathy_core import data
from empathy_core.data.turn_layout import TurnLayout
from empathy_core.errors import DataError
fields = json.loads(sys.argv[1])
if "turn_layout" in fields:
    fields["turn_layout"] = TurnLayout(turns="last", **fields["turn_layout"])
spec = data.DataSpec((data.Source("chat", **fields),))
evaluate = data.EvaluateSpec(split="all")
try:
    identity = data.identity(spec, evaluate)
    prepared = data.prepare(spec, evaluate)
    assert identity == prepared.identity
    print(json.dumps([prepared.examples["response"].to_list(), identity["sources"]["chat"]]))
except DataError as error:
    sys.exit(f"DataError: {error}")
"""
ROWS = [
    {"Context": "How do I sleep?", "Response": "A fixed hour helps."},
    {"Context": "Why am I so sad today?", "Response": "Loss takes time."},
]


@dataclass(frozen=True)
class Loader:
    """Prepares a Hub source in a process of its own, whose cache is *home*."""

    url: str
    home: Path

    def __call__(self, hub: str, env: dict | None = None, **fields: object):
        """Return the finished process: rows and identity on stdout, or the error on stderr."""
        source = {"hub": hub, "context": ["Context"], "response": "Response", **fields}
        secret = ("HF_TOKEN", "HF_HUB_OFFLINE")
        inherited = {k: v for k, v in os.environ.items() if k not in secret}
        place = {"HF_ENDPOINT": self.url, "HF_HOME": str(self.home), "HF_HUB_DISABLE_XET": "1"}
        return subprocess.run(
            [sys.executable, "-c", PREPARE, json.dumps(source)],
            capture_output=True, text=True, cwd=ROOT, check=False,
            env={**inherited, **place, "PYTHONPATH": str(ROOT), **(env or {})},
        )  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    for name in ("card", "bare", "locked"):
        repository = folder / "datasets" / "owner" / name
        repository.mkdir(parents=True)
        lines = "".join(json.dumps(row) + "\n" for row in ROWS)
        (repository / "combined.json").write_text(lines)
    (folder / "datasets/owner/card/README.md").write_text("---\nlicense: mit\n---\nA card.\n")
    return folder


@pytest.fixture(scope="module")
def hub(root: Path) -> Iterator[HubStandIn]:
    with HubStandIn(root, gated={"owner/locked"}) as running:
        yield running


@pytest.fixture
def load(hub: HubStandIn, tmp_path: Path) -> Loader:
    return Loader(hub.url, tmp_path / "home")


@pytest.mark.parametrize("name", ["card", "bare"])
def test_a_data_set_is_loaded_once_and_then_needs_no_hub(root: Path, tmp_path: Path, name: str):
    """Rows and commit are the same from the Hub and, with the Hub gone, from its cache."""
    repo = f"owner/{name}"
    with HubStandIn(root) as hub:
        load = Loader(hub.url, tmp_path / "home")
        online = load(repo)
        commit = hub.commit("datasets", repo)
    offline = load(repo, {"HF_HUB_OFFLINE": "1"})

    assert online.returncode == 0, online.stderr
    assert offline.returncode == 0, offline.stderr
    answers, content = json.loads(online.stdout)
    assert sorted(answers) == sorted(row["Response"] for row in ROWS)
    assert (content["hub"], content["commit"]) == (repo, commit)
    assert json.loads(offline.stdout) == json.loads(online.stdout)
    assert any(request.endswith("/combined.json") for request in hub.requests)


def test_a_cell_that_is_no_text_is_refused_and_its_field_can_be_named(root: Path, tmp_path: Path):
    """As in files: a data set of lists of answers has no answer of its own."""
    repository = root / "datasets/owner/nested"
    repository.mkdir(exist_ok=True)
    rows = [
        {"Context": row["Context"], "Response": {"texts": [row["Response"], ""]}} for row in ROWS
    ]
    (repository / "rows.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with HubStandIn(root) as hub:
        load = Loader(hub.url, tmp_path / "home")
        refused, named = load("owner/nested"), load("owner/nested", response="Response.texts.0")

    assert "row 0 (counted from 0): column 'Response' holds an object" in refused.stderr
    assert "write 'Response.texts.0'" in refused.stderr
    answers, _ = json.loads(named.stdout)
    assert sorted(answers) == sorted(row["Response"] for row in ROWS)


def test_conversations_of_the_hub_are_read_by_turn_and_by_utterance(root: Path, tmp_path: Path):
    """Columns that tell who speaks are read, too, where they are not named."""
    said = [("seeker", "I am sad."), ("supporter", "Since when?")]
    whole = {"dialog": [{"speaker": who, "content": text} for who, text in said]}
    rows = [{"talk": 1, "speaker": who, "said": text} for who, text in said]
    for name, lines in (("talks", [whole]), ("utterances", rows)):
        repository = root / "datasets/owner" / name
        repository.mkdir(exist_ok=True)
        (repository / "rows.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with HubStandIn(root) as hub:
        load = Loader(hub.url, tmp_path / "home")
        nested = load("owner/talks", context=["dialog.content"], response="last", turn_layout={})
        layout = {"conversation": "talk"}
        by_row = load("owner/utterances", context=["said"], response="last", turn_layout=layout)

    for done in (nested, by_row):
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)[0] == ["Since when?"]


def test_a_data_set_that_is_nowhere_says_how_to_fetch_it(load: Loader):
    """Offline and not cached: the message leads to prefetch and to a path."""
    done = load("owner/card", {"HF_HUB_OFFLINE": "1"})

    assert done.returncode == 1
    assert "DataError" in done.stderr
    assert "prefetch" in done.stderr


def test_a_gated_data_set_needs_the_hubs_token(load: Loader):
    """Without a token the message says where to ask; with HF_TOKEN the rows come."""
    refused = load("owner/locked")
    allowed = load("owner/locked", {"HF_TOKEN": TOKEN})

    assert "is gated" in refused.stderr
    assert "HF_TOKEN" in refused.stderr
    assert allowed.returncode == 0, allowed.stderr


@pytest.mark.parametrize(
    ("repo", "fields", "said"),
    [
        ("owner/absent", {}, "is unknown to the Hub"),
        ("owner/card", {"revision": "v9"}, "no revision 'v9'"),
        ("owner/card", {"hub_split": "exam"}, "cannot be loaded (Unknown split"),
        ("owner/card", {"hub_config": "german"}, "cannot be loaded (BuilderConfig 'german'"),
        ("owner/card", {"response": "Respons"}, "Did you mean 'Response'"),
    ],
)
def test_a_mistake_about_the_hub_is_one_clear_error(
    load: Loader, repo: str, fields: dict, said: str
):
    """Id, revision, split, subset and column are each named."""
    done = load(repo, **fields)

    assert done.returncode == 1
    assert "DataError" in done.stderr.splitlines()[-1]
    assert said in done.stderr.splitlines()[-1]


def test_another_version_in_the_cache_is_not_taken_for_the_one_asked(load: Loader):
    """Offline, a pinned commit that is not cached is refused rather than replaced."""
    assert load("owner/card").returncode == 0

    done = load("owner/card", {"HF_HUB_OFFLINE": "1"}, revision="0" * 40)

    assert done.returncode == 1
    assert f"expected {'0' * 40}" in done.stderr
