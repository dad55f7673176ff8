"""GGUF files: converted once to a folder of safetensors and a tokenizer.

Loading a GGUF file takes ten times as long and three times the memory of loading safetensors,
and every worker would pay it.
"""

import json
import logging
from pathlib import Path

from empathy_core.errors import ModelError, StorageError
from empathy_core.store import disk_errors, whole_folder
from empathy_core.weights.digests import cache_dir, file_digest

log = logging.getLogger(__name__)

CONVERSION = 1
"""Raised by hand whenever a conversion may give other files."""


def converted(path: Path) -> Path:
    """Return a folder with the weights of a GGUF file as float32 safetensors.

    Side effect: converts on the first call. The folder is named by the file's digest and appears
    whole, by rename, so that processes that convert at the same time do no harm.

    Raises:
        ModelError: The file cannot be converted or the cache cannot be written.
    """
    name = f"{path.stem}-{file_digest(path)[:16]}-v{CONVERSION}"
    target = cache_dir() / "weights" / name
    if target.is_dir():
        return target
    try:
        with disk_errors(target), whole_folder(target) as made:
            _convert(path, made)
    except StorageError as error:
        raise ModelError(_no_cache(target.parent, error)) from error
    except Exception as error:  # a damaged file breaks its reader anywhere, with any exception
        msg = (
            f"{path} cannot be converted ({type(error).__name__}: {str(error)[:160]}); expected a "
            "GGUF file of an architecture that transformers reads; give a folder of safetensors "
            "instead"
        )
        raise ModelError(msg) from error
    return target


def _no_cache(folder: Path, error: StorageError) -> str:
    reason = error.__cause__.strerror if isinstance(error.__cause__, OSError) else error
    return (
        f"cannot write converted weights to {folder} ({reason}); expected a writable "
        "folder with room for the weights in float32; set EMPATHY_CACHE to another place"
    )


def _convert(path: Path, folder: Path) -> None:
    """Write weights, configuration, tokenizer and chat template of *path* to *folder*."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as its_logging

    log.warning("converting %s to safetensors, once: about half a minute", path.name)
    its_logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    )
    # The tensors are plain float32 now; the quantisation settings would forbid saving them.
    del model.config.quantization_config
    model.hf_quantizer = None
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).save_pretrained(folder)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        _without_traces(folder / name)


def _without_traces(path: Path) -> None:
    """Remove what differs between machines, so that equal weights have equal fingerprints."""
    if not path.exists():
        return
    settings = json.loads(path.read_text())
    for trace in ("transformers_version", "_name_or_path", "name_or_path", "local_files_only"):
        settings.pop(trace, None)
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
