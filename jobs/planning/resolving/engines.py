"""What an engine is when a sweep is planned: asked once, and frozen in the plan."""

from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from empathy_core.data import Source
from empathy_core.errors import ConfigError
from empathy_core.types import Condition, EngineSpec, ModelSpec
from jobs.config.engines import is_loopback
from jobs.planning.plan import Plan


def pinned(spec: ModelSpec, sources: Iterable[Source]) -> ModelSpec:
    """Return *spec* with what its engine consists of.

    Args:
        spec: A model; one without an engine is returned as it is.
        sources: Of the rows that it is asked about.

    Raises:
        ConfigError: Texts may not leave the cluster, or a part of the engine or its key is missing.
        ModelError: A server elsewhere does not answer, or does not have the model.
    """
    engine = spec.engine
    if engine is None:
        return spec
    if not engine.is_elsewhere:
        from empathy_core.backends.server.starting import found_versions

        return replace(spec, engine=_with(engine, found_versions(engine)))
    check_may_leave(spec.name, engine, sources)
    return replace(spec, engine=_with(engine, _version_elsewhere(spec)))


def _with(engine: EngineSpec, versions: dict[str, str]) -> EngineSpec:
    return replace(engine, versions=tuple(sorted(versions.items())))


def _version_elsewhere(spec: ModelSpec) -> dict[str, str]:
    import asyncio  # these are of no use to most runs, and take long to import

    from empathy_core.backends.server.client import Client
    from empathy_core.backends.server.connection import served
    from empathy_core.backends.server.starting import elsewhere

    engine, address = spec.engine, elsewhere(spec)
    if engine is None:
        return {}

    async def ask() -> str:
        await served(engine, address)
        client = Client(engine, address, retries=0)
        try:
            return await client.version()
        finally:
            await client.close()

    version = asyncio.run(ask())
    return {"server": version} if version else {}


def check_followed(condition: Condition) -> None:
    """Refuse a checkpoint whose own forced or forbidden tokens a server is not told.

    Args:
        condition: With the settings that its checkpoint gives.

    Raises:
        ConfigError: It has some, and an engine.
    """
    kept = [name for name, _ in condition.structure if name != "stop_strings"]
    if condition.model.engine is None or not kept:
        return
    msg = (
        f"models.{condition.model.name}: its generation_config.json sets {', '.join(kept)}, which "
        f"engine '{condition.model.engine.name}' is not told; expected a checkpoint without; "
        'take engine = "hf" for this model'
    )
    raise ConfigError(msg)


def leaves(engine: EngineSpec) -> bool:
    """Tell whether texts leave this machine for the engine."""
    return engine.is_elsewhere and not is_loopback(urlsplit(engine.base_url).hostname or "")


def check_may_leave(model: str, engine: EngineSpec, sources: Iterable[Source]) -> None:
    """Refuse to send texts out of the cluster whose source does not say that they may leave.

    Raises:
        ConfigError: A source does not.
    """
    kept = [source for source in sources if not source.may_leave]
    if not leaves(engine) or not kept:
        return
    named = ", ".join(f"{s.name} (licence: {s.licence or 'not stated'})" for s in kept)
    host = urlsplit(engine.base_url).hostname
    msg = (
        f"models.{model}: engine '{engine.name}' sends every question to {host}, and nothing says "
        f"that the texts of {named} may leave; expected may_leave = true for each source, after "
        "a look at its licence and at your ethics approval; set it under "
        + ", ".join(f"[{s.where}]" for s in kept)
    )
    raise ConfigError(msg)


def check_on_slurm(plan: Plan, *, offline: bool) -> None:
    """Refuse array tasks that could not reach a server elsewhere, or would lack its key.

    Args:
        plan: What is to be submitted.
        offline: Whether its array tasks are said to work without the network.

    Raises:
        ConfigError: They are, or the key is in an environment variable, which no task is given.
    """
    for model in dict.fromkeys((*(c.model for c in plan.conditions), *plan.judges)):
        engine = model.engine
        if engine is None or not engine.is_elsewhere:
            continue
        if leaves(engine) and offline:
            msg = (
                f"models.{model.name}: engine '{engine.name}' is elsewhere, and array tasks work "
                "without the network; expected nodes that reach it; set offline = false under "
                "[slurm], on a partition whose nodes do"
            )
            raise ConfigError(msg)
        if engine.key_variable and not engine.key_file:
            msg = (
                f"engine '{engine.name}': array tasks are not given {engine.key_variable}, since "
                "what is exported to a job can be read in its records; expected a key_file; write "
                "the key into a file of mode 0600 that the nodes see, and name it"
            )
            raise ConfigError(msg)
