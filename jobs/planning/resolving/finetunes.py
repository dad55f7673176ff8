"""``[finetune.*]`` → what the plan holds of it: adapters, their conditions, what is compared."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import polars as pl

from empathy_core import weights
from empathy_core.data.contexts import has_turns
from empathy_core.store import RunDir, read_json
from empathy_core.training import modules
from empathy_core.training.preflight import run as preflight
from empathy_core.training.spec import Finding
from empathy_core.types import Condition, Decoding, ModelSpec, Prompt, digest
from jobs.config.schema import Config
from jobs.config.variants import Variant, variants
from jobs.planning import versions
from jobs.planning.pairs.planned import Pairs
from jobs.planning.plan import PlannedFinetune
from jobs.planning.resolving import loadable
from jobs.planning.withheld import WithheldWrites


@dataclass(frozen=True)
class Data:
    """The rows that a run is made of.

    Attributes:
        examples: ``store.EXAMPLES``.
        digest: Their identity.
    """

    examples: pl.DataFrame
    digest: str

    def under(self, prompt: Prompt) -> str:
        """Return the identity of the rows as a prompt writes them."""
        if not has_turns(self.examples):
            return self.digest
        return digest([self.digest, asdict(prompt.turns)], 16)


def resolve_finetunes(
    config: Config,
    data: Data,
    run: RunDir,
    withheld: WithheldWrites,
    pairs: Pairs,
    awaited: Collection[str] = (),
) -> list[tuple[Variant, PlannedFinetune]]:
    """Return every adapter of the configuration, its rows encoded and looked at.

    *awaited* are the ids of those that are in the queue; what is to be kept goes to *withheld*.

    Raises:
        PreflightFailed: Something is wrong with the rows, and it is not allowed.
        DataError: There is no row to train on, or an evaluated row is among them.
        ModelError: Weights or tokenizer are absent, or cannot render the prompt.
    """
    found = []
    for wanted in variants(config):
        loadable.stored_quantization(wanted.spec.base, run, withheld)
        loadable.check_trainable(wanted.spec.base)
        base = weights.model_fingerprint(wanted.spec.base)
        made_of = base, data.under(wanted.spec.prompt)
        spec, frame = pairs.of(modules.settled(wanted.spec))
        spec = versions.as_trained(spec, made_of, run, awaited)
        variant = replace(wanted, spec=spec)
        planned = _planned(variant, base, data, frame, run, withheld)
        preflight.stop(planned.findings, planned.spec.allow)
        found.append((variant, planned))
    return found


def _planned(
    variant: Variant,
    base: str,
    data: Data,
    frame: pl.DataFrame | None,
    run: RunDir,
    withheld: WithheldWrites,
) -> PlannedFinetune:
    spec = variant.spec
    id_ = spec.id(base, data.under(spec.prompt))
    known = run.rendering(f"preflight-{id_}")
    if known.exists():
        seen = read_json(known)
        findings = tuple(Finding(**one) for one in seen["findings"])
        n_rows = int(seen["n_rows"])
    else:
        from empathy_core.training.rows import prepare

        prepared = prepare.prepare(spec, data.examples, frame)
        findings, n_rows = prepared.findings, len(prepared.train)
        withheld.json({"findings": [asdict(f) for f in findings], "n_rows": n_rows}, known)
    return PlannedFinetune(
        id=id_,
        digest=spec.digest(base, data.under(spec.prompt)),
        family=variant.family,
        spec=spec,
        base_fingerprint=base,
        sources=variant.sources,
        n_rows=n_rows,
        findings=findings,
        n_pairs=0 if frame is None else frame.filter(split="train").height,
        prompt_chosen=variant.table.prompt_chosen,
    )


def conditions_of(
    config: Config, variant: Variant, planned: PlannedFinetune, run: RunDir
) -> Iterator[tuple[Condition, Condition, Condition | None]]:
    """Yield tuned, base and unquantised base for each decoding, not yet rendered."""
    table, spec = variant.table, variant.spec
    tuned = replace(
        spec.base,
        name=spec.name,
        label=spec.label,
        adapter=str(run.adapter(planned.id).resolve()),
        published=table.published,
    )
    prints = f"{planned.base_fingerprint}+finetune:{planned.digest}"
    stored = loadable.stored_quantization(spec.base, run, WithheldWrites())
    tokenizer = weights.tokenizer_digest(weights.tokenizer_folder(spec.base))
    for name in config.generating(table.decodings):
        decoding = config.decoding_spec(name)

        def condition(
            model: ModelSpec, fingerprint: str, decoding: Decoding = decoding
        ) -> Condition:
            batched = model.dtype != "float32" or model.quantization or stored
            return Condition(
                model=model,
                prompt=spec.prompt,
                decoding=decoding,
                chat=spec.chat,
                fingerprint=fingerprint,
                block_size=config.evaluate.block_size if batched else None,
                stored_quantization=stored,
                tokenizer_digest=tokenizer,
            )

        base = condition(spec.base, planned.base_fingerprint)
        whole = variant.unquantized
        yield (
            condition(tuned, prints),
            base,
            condition(whole, planned.base_fingerprint) if whole else None,
        )


def shards_of(
    config: Config, found: Sequence[tuple[Variant, PlannedFinetune]]
) -> Mapping[str, int]:
    """Return into how many shards the work of each adapter and of its bases is cut."""
    shards: dict[str, int] = {}
    for variant, planned in found:
        base = variant.table.base
        given = variant.table.shards or (config.shards(base) if base in config.models else None)
        n = given or config.generation.shards
        names = [planned.spec.name, planned.spec.base.name]
        names += [variant.unquantized.name] if variant.unquantized else []
        for name in names:
            shards.setdefault(name, n)
    return shards
