"""PURE: ``[engines.*]`` → what generates, and whether a model can be asked through it."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any
from urllib.parse import urlsplit

from empathy_core import engines
from empathy_core.errors import ConfigError
from empathy_core.types import Decoding, EngineSpec, ModelSpec

HF = "hf"
"""The engine of models that name none: transformers in the task's own process."""


def engine_of(name: str, use: str | None, given: Mapping[str, Any]) -> EngineSpec:
    """Return a shipped engine with the table's changes, or one's own.

    Args:
        name: Of the table.
        use: The shipped engine that it is; null means the one of this name.
        given: Names of ``EngineSettings`` and their values, as far as the table gives any.

    Raises:
        UnknownName: It is not shipped, and the table names neither a command nor an address.
        ConfigError: It is said neither how it is started nor where it is, or both.
    """
    changes = {key: value for key, value in given.items() if value is not None}
    for key in ("environment", "request"):
        if key in changes:
            changes[key] = tuple(sorted(changes[key].items()))
    known = use or name
    if known in engines.names():
        base = replace(engines.engine(known), name=name)
        changes["environment"] = _merged(base.environment, changes.get("environment", ()))
        spec = replace(base, **changes)
        if "base_url" in changes and "command" not in changes:  # of a shipped kind, but not ours
            spec = replace(spec, command=(), packages=(), version_command=())
    else:
        if use or not changes:
            engines.engine(known)  # raises, with the closest match
        spec = EngineSpec(name=name, **changes)
    _check(spec)
    return spec


def _merged(base: tuple[Any, ...], change: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted({**dict(base), **dict(change)}.items()))


_PARTS = {
    "python": "the interpreter of its environment",
    "image": "the file of its container",
    "weights_file": "the file of weights that it reads",
}


def _check(engine: EngineSpec) -> None:
    if bool(engine.command) == bool(engine.base_url):
        msg = (
            "expected either command, by which a task starts the server, or base_url, where one "
            "answers already; give one of them"
        )
        raise ConfigError(msg)
    for part, what in _PARTS.items():
        if _holds(engine.command, part) and not getattr(engine, part):
            msg = f'name {what}: {part} = "/path/to/it", since its command holds {{{part}}}'
            raise ConfigError(msg)
    lacking = [p for p in ("port", "served_name") if not _holds(engine.command, p)]
    if engine.command and lacking:
        msg = (
            f"its command lacks {{{lacking[0]}}}, by which its server is found and told from "
            f'others; expected both; put it in, as in "--port", "{{port}}"'
        )
        raise ConfigError(msg)
    _check_requests(engine)
    if engine.base_url:
        _check_address(engine)


def _holds(command: Sequence[str], part: str) -> bool:
    return any(f"{{{part}}}" in word for word in command)


_OURS = {
    "model", "prompt", "messages", "max_tokens", "max_completion_tokens", "min_tokens",
    "temperature", "top_p", "top_k", "repetition_penalty", "seed", "n", "best_of", "stop",
    "stop_token_ids", "ignore_eos", "return_token_ids", "stream", "echo", "logprobs",
    "prompt_logprobs",
}  # fmt: skip
"""Fields of a request that decoding and prompt decide."""


def _check_requests(engine: EngineSpec) -> None:
    ours = sorted(_OURS & {name for name, _ in engine.request})
    if ours:
        msg = (
            f"request holds {', '.join(ours)}, which prompt and decoding decide; expected other "
            "fields alone; take it out, and set it under [decoding.<name>]"
        )
        raise ConfigError(msg)
    known = {field.name for field in fields(Decoding)} - {"name", *_ALWAYS}
    if unknown := sorted(set(engine.takes) - known):
        msg = (
            f"takes holds {', '.join(unknown)}, which is no setting of a decoding; expected some "
            f"of {', '.join(sorted(known))}; correct it"
        )
        raise ConfigError(msg)
    if engine.prompts_per_request > 1 and not engine.returns_tokens:
        msg = (
            f"prompts_per_request = {engine.prompts_per_request} needs returns_tokens = true: a "
            "server counts the tokens of a request together; expected 1; leave it out"
        )
        raise ConfigError(msg)


def _check_address(engine: EngineSpec) -> None:
    parts = urlsplit(engine.base_url)
    try:
        port_is_one = parts.port != 0
    except ValueError:
        port_is_one = False
    if not port_is_one or parts.scheme not in ("http", "https") or not parts.hostname:
        msg = (
            f"base_url = '{engine.base_url}' is no address; expected https://host/v1 (or http for "
            "a server on this machine); correct it"
        )
        raise ConfigError(msg)
    if parts.username or parts.password or parts.query:
        msg = (
            "base_url holds a name, a password or a query, which logs and tables would show; "
            "expected the address alone; put the key in key_file or key_variable"
        )
        raise ConfigError(msg)
    if parts.scheme == "http" and not is_loopback(parts.hostname) and not engine.insecure_http:
        msg = (
            f"base_url = '{engine.base_url}' is plain HTTP, which anybody on the way can read; "
            "expected https; use it, or set insecure_http = true if the network is your own"
        )
        raise ConfigError(msg)


def is_loopback(host: str) -> bool:
    """Tell whether *host* is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# ---------------------------------------------------------------------------- models on engines


def on_engine(spec: ModelSpec, engine: EngineSpec) -> ModelSpec:
    """Return *spec* as *engine* runs it.

    Raises:
        ConfigError: The engine cannot run such a model.
    """
    if spec.backend not in ("hf", "server"):
        msg = f"backend '{spec.backend}' has no weights to run; take engine = '{engine.name}' out"
        raise ConfigError(msg)
    if spec.backend == "server" and not engine.is_elsewhere:
        msg = (
            f"engine '{engine.name}' starts a server, which needs weights; expected them; name "
            'weights and architecture = "decoder"'
        )
        raise ConfigError(msg)
    problems = list(_unlike(spec, engine))
    if problems:
        raise ConfigError("; ".join(problems))
    if spec.backend == "server":  # without a tokenizer there are no ids
        engine = replace(engine, prompts="messages")
    return replace(spec, engine=engine)


def _unlike(spec: ModelSpec, engine: EngineSpec) -> Iterator[str]:
    if spec.is_encoder_decoder:
        yield f"engine '{engine.name}' runs decoders; expected no encoder-decoder; take engine = hf"
    if spec.quantization:
        yield (
            f"engine '{engine.name}' loads weights as they are stored; quantization = \""
            f'{spec.quantization}" is for engine = "hf"; take it out, or name weights that are '
            "quantised already"
        )
    theirs = replace(spec, engine=engine).rendered_elsewhere
    for name in _RENDERING if theirs else ():
        if getattr(spec, name):
            yield (
                f"engine '{engine.name}' renders prompts itself, so that {name} has no effect; "
                "take it out, or say it in request, as the server's documentation has it"
            )
    if spec.backend == "server" and spec.dtype != "float32":
        yield f"dtype is that of the server which engine '{engine.name}' asks; take it out"
    if spec.attention:
        yield f"engine '{engine.name}' chooses its attention itself; take attention out"
    if spec.adapter and not engine.adapter_arguments and not engine.is_elsewhere:
        yield (
            f"engine '{engine.name}' is not told how to load an adapter; expected "
            "adapter_arguments; give them, or merge the adapter (python -m jobs.launch merge)"
        )


_RENDERING = ("template_arguments", "fold_system", "tokenizer", "adapter")
"""Settings of a model by which the suite renders prompts, or makes its answers."""

_ALWAYS = {"max_new_tokens", "sample", "samples", "seed"}


def refused(engine: EngineSpec, decoding: Decoding) -> str:
    """Return why *engine* cannot answer under *decoding*; empty if it can.

    A server ignores what it does not know, and would answer otherwise than the table says.
    """
    usual = Decoding()
    drawn = {"temperature", "top_k", "top_p"}
    for field in fields(decoding):
        name = field.name
        if name == "name" or name in _ALWAYS or (name in drawn and not decoding.sample):
            continue
        if getattr(decoding, name) != getattr(usual, name) and name not in engine.takes:
            return (
                f"decoding '{decoding.name}' sets {name}, which engine '{engine.name}' is not "
                f"known to follow (it takes {', '.join(engine.takes)}); leave it out, or add it "
                f"to takes under [engines.{engine.name}] if its server does"
            )
    return ""
