"""What an engine is when a sweep is planned: asked once, and frozen in the plan."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from empathy_core.backends.server.client import Client
from empathy_core.backends.server.connection import served
from empathy_core.backends.server.starting import elsewhere, found_versions
from empathy_core.data import Source
from empathy_core.errors import ConfigError
from empathy_core.types import EngineSpec, ModelSpec
from jobs.config.engines import is_loopback


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
        return replace(spec, engine=_with(engine, found_versions(engine)))
    check_may_leave(spec.name, engine, sources)
    return replace(spec, engine=_with(engine, _version_elsewhere(spec)))


def _with(engine: EngineSpec, versions: dict[str, str]) -> EngineSpec:
    return replace(engine, versions=tuple(sorted(versions.items())))


def _version_elsewhere(spec: ModelSpec) -> dict[str, str]:
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
