"""From a model and its engine to a server that answers, started by this task or elsewhere."""

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from empathy_core import store, weights
from empathy_core.backends.gpus import list_gpus
from empathy_core.backends.reading import ModelText
from empathy_core.backends.server.backend import ServerBackend
from empathy_core.backends.server.budget import Budget
from empathy_core.backends.server.client import Address
from empathy_core.backends.server.connection import Connection, OwnServer
from empathy_core.backends.server.keys import read_key
from empathy_core.backends.server.process import ServerLaunch, ServerProcess, filled
from empathy_core.engines import probe
from empathy_core.errors import ConfigError, ModelError
from empathy_core.prompts.rendering import Overlong, context_window
from empathy_core.prompts.stops import read_settings
from empathy_core.prompts.tokenizers import tokenizer_of
from empathy_core.store import RunDir
from empathy_core.types import EngineSpec, ModelSpec, digest
from empathy_core.weights.digests import file_digest

ADAPTED = "-adapter"
"""Behind the served name: the model with its adapter, in ``adapter_arguments``."""


def connect(model: ModelSpec, overlong: Overlong, run: RunDir) -> ServerBackend:
    """Return what answers for *model* on its engine; a server that is started here is ready.

    Args:
        model: With an engine.
        overlong: What happens to questions that do not fit.
        run: Keeps the server's log, and what was spent.

    Raises:
        ModelError: The server cannot be started or reached, or is not the planned one.
    """
    engine = _engine(model)
    text = _text(model, overlong)
    budget = Budget(engine, run.root / "budget" / f"{_account(engine)}.json")
    if engine.is_elsewhere:
        connection = Connection(engine, elsewhere(model), None)
    else:
        check_versions(engine)
        connection = _started(model, run)
    return ServerBackend(model, text, connection, budget)


def elsewhere(model: ModelSpec) -> Address:
    """Return where a server elsewhere answers for *model*.

    Raises:
        ConfigError: The key is missing.
    """
    engine = _engine(model)
    return Address(engine.base_url, read_key(engine), model.served_name or model.name)


def _account(engine: EngineSpec) -> str:
    """Return what a budget is kept under: the server's address, whatever the engine is called."""
    if not engine.is_elsewhere:
        return engine.name
    host = urlsplit(engine.base_url).hostname or "server"
    return f"{host.replace(':', '-')}-{digest(engine.base_url.rstrip('/'), 8)}"


def _engine(model: ModelSpec) -> EngineSpec:
    if model.engine is None:
        msg = f"{model.name} has no engine"
        raise ValueError(msg)
    return model.engine


def _text(model: ModelSpec, overlong: Overlong) -> ModelText | None:
    """Return what renders and reads; null where the server does."""
    if model.rendered_elsewhere:
        return None
    folder = weights.locate(str(model.weights), model.revision)
    return ModelText(model, tokenizer_of(model), read_settings(folder), None, overlong)


# ---------------------------------------------------------------------------- what it is made of


def found_versions(engine: EngineSpec) -> dict[str, str]:
    """Return what an engine consists of here: package, program or image → version and digest.

    Raises:
        ConfigError: An interpreter, package, program or image is missing.
    """
    found: dict[str, str] = {}
    if engine.packages:
        found |= probe.versions(engine.python, engine.packages)
    if engine.version_command:
        command = [filled(word, _places(engine)) for word in engine.version_command]
        found["program"] = probe.command_version(command)
    for kind in ("image", "weights_file"):
        path, words = getattr(engine, kind), (*engine.command, *engine.arguments)
        if path and any(f"{{{kind}}}" in word for word in words):
            found[kind] = _digest_of(Path(path), engine)
    return found


def _digest_of(path: Path, engine: EngineSpec) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        msg = (
            f"engine '{engine.name}': {path} cannot be read ({error.strerror}); expected the file "
            "that its command names; correct the path"
        )
        raise ConfigError(msg) from error


def check_versions(engine: EngineSpec) -> None:
    """Refuse an engine that is another than when the sweep was planned.

    Raises:
        ModelError: A version or a digest differs.
    """
    planned, now = dict(engine.versions), found_versions(engine)
    unlike = sorted(k for k in planned.keys() | now.keys() if planned.get(k) != now.get(k))
    if engine.versions and unlike:
        listed = ", ".join(f"{k}: {now.get(k, 'gone')}, not {planned.get(k, '-')}" for k in unlike)
        msg = (
            f"engine '{engine.name}' is not the planned one ({listed}); expected the same on every "
            "node, since its answers may differ; install it anew, or run sweep again, which "
            "begins new conditions"
        )
        raise ModelError(msg)


# ---------------------------------------------------------------------------- starting


def _started(model: ModelSpec, run: RunDir) -> Connection:
    engine = _engine(model)
    process = ServerProcess(_launch(model, run))
    process.start()
    try:
        server = OwnServer(process, ADAPTED if model.adapter else "")
        return Connection(engine, server.address, server)
    except BaseException:
        process.close()
        raise


def _launch(model: ModelSpec, run: RunDir) -> ServerLaunch:
    engine = _engine(model)
    words = [*engine.command, *engine.arguments]
    words += engine.adapter_arguments if model.adapter else ()
    # {port}, {key} and {served_name} are left to the start
    places = _places(engine) | _places_of(model)
    _check_gpus(engine)
    log = store.make_dir(run.logs) / f"engine-{model.name}-{socket.gethostname()}-{os.getpid()}.log"
    with store.disk_errors(log):
        os.close(
            store.open_file(log, os.O_WRONLY | os.O_APPEND)
        )  # with the mode of the run's files
    return ServerLaunch(
        name=engine.name,
        command=tuple(filled(word, places) for word in words),
        environment={key: filled(value, places) for key, value in engine.environment},
        log=log,
        health=engine.health,
        start_timeout_s=float(engine.start_timeout_s),
    )


def _places(engine: EngineSpec) -> dict[str, str]:
    return {
        "python": engine.python,
        "image": engine.image,
        "weights_file": engine.weights_file,
        "gpus": str(engine.gpus),
    }


def _places_of(model: ModelSpec) -> dict[str, str]:
    folder = weights.locate(str(model.weights), model.revision)
    window = context_window(read_settings(folder)[1], tokenizer_of(model))
    context = _engine(model).context or window or ""
    places = {"weights": str(folder), "dtype": model.dtype, "context": str(context)}
    if model.adapter:
        adapter = weights.locate(model.adapter, model.adapter_revision)
        rank = store.read_json(adapter / "adapter_config.json").get("r", 8)
        places |= {"adapter": str(adapter), "rank": str(rank)}
    return places


def _check_gpus(engine: EngineSpec) -> None:
    n = len(list_gpus())
    if engine.gpus > 1 and n < engine.gpus:
        msg = (
            f"engine '{engine.name}' is to run on {engine.gpus} GPUs and this task sees {n}; "
            f"expected as many; set gpus = {engine.gpus} under [slurm.generate] (on this machine: "
            "one worker), or lower gpus of the engine"
        )
        raise ModelError(msg)
