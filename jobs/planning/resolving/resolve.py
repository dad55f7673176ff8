"""Configuration → plan: the lookups that must happen before anything is computed.

Data are frozen, weights found, every prompt rendered once, imported answers read. All
errors of the user's come from here, before a task starts.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import polars as pl

from empathy_core import data, metrics, weights
from empathy_core.backends.positions import check_room
from empathy_core.counted import counted
from empathy_core.data.contexts import contexts_of, has_turns
from empathy_core.errors import ConfigError
from empathy_core.prompts.rendering import Rendering, render
from empathy_core.prompts.stops import read_settings
from empathy_core.store import RunDir, read_json
from empathy_core.training.adapter import adapters
from empathy_core.types import Condition, Decoding, ModelSpec, digest
from jobs.config import contrasts
from jobs.config.judges import metric_options
from jobs.config.read import setting
from jobs.config.schema import Config, load_prompt
from jobs.config.variants import Variant
from jobs.planning import origins, report_settings, versions
from jobs.planning.best_of_n import choices
from jobs.planning.pairs.planned import Pairs, same_again
from jobs.planning.pilot import measured, propose
from jobs.planning.plan import (
    LEXICAL,
    AdapterVsBase,
    Plan,
    PlannedFinetune,
    PlannedMetric,
    PlanNotes,
)
from jobs.planning.provenance import provenance
from jobs.planning.resolving import engines, imported, judges
from jobs.planning.resolving.answering import planned
from jobs.planning.resolving.finetunes import Data, conditions_of, resolve_finetunes, shards_of
from jobs.planning.resolving.loadable import stored_quantization
from jobs.planning.resolving.run_rows import RunRows, rows_of
from jobs.planning.resolving.scripts import misread
from jobs.planning.withheld import WithheldWrites
from reports.labels import template_words
from reports.rows import subsets

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resolved:
    """A plan, and what only its maker needs.

    Attributes:
        rows: The run's, frozen or to be frozen.
        made: Condition id → imported texts (``example``, ``sample``, ``text``).
        renderings: Condition id → what rendering its prompts showed.
        withheld: What is to be written into the run once nothing refuses the plan.
        remarks: What the author may want to correct before anything is computed.
    """

    plan: Plan
    rows: RunRows
    made: Mapping[str, pl.DataFrame]
    renderings: Mapping[str, Rendering]
    withheld: WithheldWrites
    remarks: tuple[str, ...] = ()

    @property
    def examples(self) -> pl.DataFrame:
        """The run's rows (``store.EXAMPLES``)."""
        return self.rows.examples

    @property
    def audit(self) -> Mapping[str, Any]:
        """What the data audit found."""
        return self.rows.audit


def resolve(config: Config, run: RunDir, command: str, awaited: Collection[str] = ()) -> Resolved:
    """Return the plan of *config* in *run*, and write nothing.

    Args:
        config: The checked configuration.
        run: Holds the frozen rows if it was planned before.
        command: As typed, for the provenance.
        awaited: Ids of conditions and fine-tunes that are in the queue.

    Raises:
        RunMismatch: The run was made from other data or another split.
        ConfigError: A prompt does not fit in its model's context, or answers lack examples.
    """
    withheld = WithheldWrites()
    rows = rows_of(config, run, withheld)
    examples, audit = rows.examples, rows.audit
    evaluated = rows.evaluated.join(rows.carried, "id", "left", maintain_order="left")
    _check_report(config, evaluated)  # here, and not after hours of answering
    collected = _Conditions(config, rows, evaluated, run, withheld, awaited)
    scoring = tuple(collected.metric(n, o) for n, o in config.metrics.items())
    collected.notes += audit.get("warnings", ())
    collected.notes += data.references.note(evaluated, own_left_out=config.scoring.compares_alike)
    for name in config.models:
        _add_model(config, name, examples, collected)
    frozen = Data(examples, digest(rows.identity, 16))
    trained = resolve_finetunes(config, frozen, run, withheld, collected.pairs, awaited)
    finetunes = tuple(_compared(config, collected, *finetune, run) for finetune in trained)
    for made_elsewhere in imported.conditions(config, examples):
        collected.add_imported(made_elsewhere)
    conditions = tuple(collected.conditions.values())
    scoring += _judged(config, collected, conditions)
    every = choices.with_chosen(config, conditions, scoring)
    collected.tell_all(same_again(finetunes, scoring, collected.pairs))
    shards = {name: _shards(config, name, conditions, evaluated, run) for name in config.models}
    plan = Plan(
        conditions=every,
        data_digest=frozen.digest,
        n_blocks=int(evaluated["block"].n_unique()),
        shards={**shards_of(config, trained), **shards},
        score_shards=config.scoring.shards,
        overlong=config.generation.overlong,
        steps=tuple((step.first, step.blocks) for step in rows.steps),
        metrics=scoring,
        notes=_plan_notes(config, collected.notes),
        finetunes=finetunes,
        imported=tuple(collected.made),
        made_from=origins.digests(config),
        provenance=provenance(command),
        config=config.model_dump(mode="json"),
    )
    contrasts.resolve(config.report.contrasts, plan.conditions)  # refused before it is answered
    return collected.resolved(plan)


def _check_report(config: Config, evaluated: pl.DataFrame) -> None:
    report_settings.check_margins(config.report.margins, metric_options(config))
    for column in config.report.subgroups:
        subsets.groups(evaluated, column)


def _unused(config: Config) -> Iterator[str]:
    """Yield a remark for each setting of a decoding that has no effect as it stands."""
    usual = Decoding()
    for name, table in config.decoding.items():
        for key in () if table.sample or table.chooses else ("temperature", "top_k", "top_p"):
            if getattr(table, key) != getattr(usual, key):
                yield (
                    f"decoding.{name}: {key} = {getattr(table, key):g} has no effect, since the "
                    "most probable token is taken; set sample = true to draw, or leave it out"
                )


@dataclass
class _Conditions:
    """The conditions so far, in the order of the tables.

    Attributes:
        rows: The run's.
        evaluated: Those that are answered, with what they carry along.
        withheld: Takes what is to be kept in the run.
        awaited: Ids of conditions that are in the queue.
        made: Condition id → imported texts.
        remarks: What the author should know before anything is computed.
    """

    config: Config
    rows: RunRows
    evaluated: pl.DataFrame
    run: RunDir
    withheld: WithheldWrites
    awaited: Collection[str]
    conditions: dict[str, Condition] = field(default_factory=dict)
    renderings: dict[str, Rendering] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    made: dict[str, pl.DataFrame] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def metric(self, name: str, options: Mapping[str, Any]) -> PlannedMetric:
        """Return a metric as it scores this run's answers."""
        left_out = self.config.scoring.compares_alike
        return _metric(name, options, self.evaluated, own_left_out=left_out)

    def resolved(self, plan: Plan) -> Resolved:
        """Return the plan with what was learned of its conditions."""
        of_choices = choices.remarks(self.config, plan.conditions)
        remarks = (*self.remarks, *of_choices, *misread(self.config, self.evaluated))
        return Resolved(plan, self.rows, self.made, self.renderings, self.withheld, remarks)

    def __post_init__(self) -> None:
        """Begin with what of the configuration has no effect."""
        self.remarks += _unused(self.config)
        self.pairs = Pairs(self.config, self.rows.examples, self.run, self.withheld)

    def tell_of_pairs(self, made: PlannedFinetune) -> None:
        """Add what is to be said of the pairs that an adapter is tuned on; each table once."""
        told = self.pairs.told(made)
        self.remarks += [remark for remark in told if remark not in self.remarks]
        self.notes += self.pairs.notes(made)

    def tell_all(self, sentences: Iterator[str]) -> None:
        """Add what both the author and every reader of a table must know."""
        told = tuple(sentences)
        self.notes += told
        self.remarks += told

    def add_imported(self, of: imported.Imported) -> None:
        """Add a condition of imported answers, and what must be said of it."""
        final = imported.as_begun(of, self.rows.earlier(), self.run)
        self.conditions[final.id] = final
        self.made[final.id] = of.texts
        self.notes += of.notes
        self.remarks += of.remarks

    def _rendered(self, condition: Condition) -> tuple[Condition, Rendering]:
        """Render all prompts of a condition; what they are is told by those of the first rows.

        Of a run that grew these are the rows that it began with: answers to them stay.
        """
        overlong = self.config.generation.overlong
        render_rows = partial(
            _rendering, self.config, condition, run=self.run, withheld=self.withheld
        )
        rendering = render_rows(self.evaluated)
        if rendering.overlong and overlong == "error":
            raise ConfigError(_overlong(condition, rendering))
        earlier = self.rows.earlier()
        first = render_rows(earlier[0]).digest if earlier else rendering.digest
        template = rendering.template_digest
        return replace(condition, rendered=first, template_digest=template), rendering

    def rendered(self, condition: Condition) -> Condition:
        """Render a condition's prompts, add it if it is new, and return it.

        Raises:
            ModelError: The prompts cannot be rendered, or the answers have no room.
        """
        _check_room(condition)
        if has_turns(self.evaluated):
            condition = replace(condition, turns=condition.prompt.turns)
        answering, notes = planned(condition, self.run, self.withheld)
        engines.check_followed(answering)
        rendered, rendering = self._rendered(answering)
        final = versions.as_begun(rendered, self.run, self.awaited)
        if final.id not in self.conditions:
            self.conditions[final.id] = final
            self.renderings[final.id] = rendering
            # what an older version began goes on as it was begun
            begun = final.generation_version < rendered.generation_version
            self.notes += (*(() if begun else notes), *_rendering_notes(final, rendering))
        return final


def _check_room(condition: Condition) -> None:
    """Refuse answers that are longer than the decoder of an encoder-decoder reaches."""
    model = condition.model
    if model.backend == "hf" and model.is_encoder_decoder:
        folder = weights.locate(str(model.weights), model.revision)
        check_room(condition, read_settings(folder)[1])


def _add_model(config: Config, name: str, examples: pl.DataFrame, conditions: _Conditions) -> None:
    """Add the conditions of a model, or the one of people."""
    spec = engines.pinned(config.model_spec(name), config.data_spec().sources)
    if spec.is_human:
        alike = config.scoring.compares_alike
        conditions.add_imported(imported.therapist(spec, examples, alike=alike))
        return
    stored = stored_quantization(spec, conditions.run, conditions.withheld)
    for condition in _of_model(config, name, spec, stored):
        conditions.notes += _trained_otherwise(conditions.rendered(condition))


def _compared(
    config: Config, conditions: _Conditions, variant: Variant, planned: PlannedFinetune, run: RunDir
) -> PlannedFinetune:
    """Add the conditions of an adapter and of its bases; base first, as tables show them."""
    conditions.tell_of_pairs(planned)
    if not variant.table.evaluate:
        return planned
    triples = []
    for tuned, base, whole in conditions_of(config, variant, planned, run):
        unquantized = conditions.rendered(whole) if whole else None
        triples.append((conditions.rendered(base), conditions.rendered(tuned), unquantized))
    ids = tuple(AdapterVsBase(t.id, b.id, u.id if u else None) for b, t, u in triples)
    return replace(planned, compared=ids)


def _judged(
    config: Config, collected: _Conditions, conditions: tuple[Condition, ...]
) -> tuple[PlannedMetric, ...]:
    """Return everything that judges are asked, and note which of them are alike."""
    collected.notes += judges.checked(config, conditions)
    found = judges.judges(config, conditions, collected.run, collected.withheld)
    return tuple(collected.metric(n, o) for n, o in found.items())


def _shards(
    config: Config,
    name: str,
    conditions: Sequence[Condition],
    evaluated: pl.DataFrame,
    run: RunDir,
) -> int:
    """Return into how many shards a model's work is cut: as said, or as its speed asks."""
    target = config.generation.target_min
    if config.models[name].shards or target is None:
        return config.shards(name)
    mine = [c for c in conditions if c.model.name == name]
    timings = [m for c in mine if (m := measured(run, c))]
    if not timings or len(timings) < len(mine):
        return config.shards(name)
    n_rows = evaluated.height * max(c.decoding.n_samples for c in mine)
    n_blocks = int(evaluated["block"].n_unique())
    return propose(name, timings, n_rows, n_blocks, target).shards


# ---------------------------------------------------------------------------- models


def _of_model(config: Config, name: str, spec: ModelSpec, stored: str) -> list[Condition]:
    fingerprint = weights.model_fingerprint(spec)
    rounded = spec.dtype != "float32" or spec.quantization or stored
    batched = spec.backend == "hf" and spec.engine is None and rounded
    return [
        Condition(
            model=spec,
            prompt=load_prompt(prompt),
            decoding=config.decoding_spec(decoding),
            chat=spec.chat_template,
            fingerprint=fingerprint,
            block_size=config.evaluate.block_size if batched else None,
            stored_quantization=stored,
            tokenizer_digest=_tokenizer_digest(spec),
        )
        for prompt in config.models[name].prompts or ()
        for decoding in config.generating(config.models[name].decodings)
    ]


def _tokenizer_digest(spec: ModelSpec) -> str:
    hf = spec.backend == "hf" and spec.weights is not None
    return weights.tokenizer_digest(weights.tokenizer_folder(spec)) if hf else ""


def _trained_otherwise(condition: Condition) -> list[str]:
    """Say so where an adapter that this suite trained is asked in another way than it was taught.

    The paper compares a base under one prompt with an adapter that was trained under another.
    """
    model = condition.model
    folder = weights.locate(model.adapter, model.adapter_revision) if model.adapter else None
    if folder is None or not adapters.is_complete(folder):
        return []
    record = adapters.read(folder)
    taught, notes = record.settings, []
    if (condition.prompt.text, condition.chat) != (taught["prompt"]["text"], taught["chat"]):
        how = f"prompt '{taught['prompt']['name']}', {'chat' if taught['chat'] else 'plain'} format"
        notes.append(f"{model.label}: the adapter was trained under {how}.")
    if unlike := _rendered_otherwise(condition, record.base):
        notes.append(f"{model.label}: the adapter was trained with {', '.join(unlike)}.")
    return notes


def _rendered_otherwise(condition: Condition, base: Mapping[str, Any]) -> list[str]:
    """Return the settings of an adapter's base that rendered its prompts otherwise than now.

    Args:
        condition: Of a model with an adapter that this suite trained.
        base: What stands of its base in the adapter's record; an older version wrote less.
    """
    model, names = condition.model, ("template_default", "fold_system", "template_arguments")
    now = json.loads(json.dumps(asdict(model)))
    both_chat = condition.chat and base.get("chat_template")
    changed = [n for n in names if both_chat and base.get(n, now[n]) != now[n]]
    told = {**base, "template_arguments": dict(base.get("template_arguments", ()))}
    unlike = [f"{name} = {json.dumps(told[name])}" for name in changed]
    own = base["fingerprint"].partition("+tokenizer:")[2]
    whole = weights.tokenizer_digest(weights.locate(str(model.weights), model.revision))
    return unlike + ["another tokenizer"] * ((own or whole) != condition.tokenizer_digest)


def _rendering(
    config: Config, condition: Condition, rows: pl.DataFrame, run: RunDir, withheld: WithheldWrites
) -> Rendering:
    """Render a condition's prompts of some rows, or recall how they were rendered before."""
    texts = hashlib.sha256("\0".join(rows["id"] + rows["context"]).encode()).hexdigest()
    if has_turns(rows):  # one text may be that of several conversations
        texts += digest(rows["turns"].to_list())
    key = digest([dict(condition.identity), texts, config.generation.overlong], 16)
    known = run.rendering(key)
    if known.exists():
        found = read_json(known)
        lists = {name: tuple(found.get(name, ())) for name in ("notes", "overlong")}
        return Rendering(**{**found, **lists})
    pairs = list(zip(rows["id"], contexts_of(rows), strict=True))
    rendering = render(condition, pairs, config.generation.overlong)
    withheld.json({f: getattr(rendering, f) for f in Rendering.__slots__}, known)
    return rendering


def _overlong(condition: Condition, rendering: Rendering) -> str:
    ids, n = ", ".join(rendering.overlong[:3]), len(rendering.overlong)
    return (
        f"{condition.model.name} takes {rendering.context_window} tokens, prompt and answer "
        f"together; with max_new_tokens = {condition.decoding.max_new_tokens}, "
        f"{counted(n, 'example')} under '{condition.prompt.name}' "
        f"{'does' if n == 1 else 'do'} not fit (longest prompt: "
        f"{rendering.max_prompt_tokens} tokens; {ids} …). Lower max_new_tokens, or set "
        'generation.overlong = "truncate": questions are then cut, counted and noted'
    )


def _rendering_notes(condition: Condition, rendering: Rendering) -> list[str]:
    who = f"{condition.model.label}, {condition.prompt.label}"
    notes = [f"{who}: {note}." for note in rendering.notes]
    if condition.model.template_arguments or condition.model.fold_system:
        notes.append(f"{condition.model.label}: chat template {template_words(condition)}.")
    if stored := condition.stored_quantization:
        notes.append(f"{condition.model.label}: weights quantised by their checkpoint ({stored}).")
    if condition.model.weights and condition.model.engine and not condition.model.runs_here:
        label = condition.model.label
        notes.append(f"{label}: a server elsewhere; that it has these weights is not checked.")
    if condition.decoding.sample and condition.model.engine and not condition.model.engine.seeds:
        drawn = f"{who}, {condition.decoding.name}"
        notes.append(f"{drawn}: drawn without a seed, since the server has none; not reproducible.")
    if rendering.preamble:
        notes.append(f"{who}: the chat template adds \u201c{rendering.preamble.strip()}\u201d.")
    if rendering.overlong:
        notes.append(f"{who}: {_cut(len(rendering.overlong))} to fit the context.")
    return notes


def _cut(n: int) -> str:
    return f"{counted(n, 'question')} {'was' if n == 1 else 'were'} cut"


# ---------------------------------------------------------------------------- metrics and notes


def _metric(
    name: str, options: Mapping[str, Any], evaluated: pl.DataFrame, *, own_left_out: bool
) -> PlannedMetric:
    metric = metrics.prepared(name, options, evaluated, own_left_out=own_left_out)
    group = getattr(metric, "score_group", name if hasattr(metric, "model") else LEXICAL)
    return PlannedMetric(name, dict(options), metrics.key(name, metric), metric.signature(), group)


def _plan_notes(config: Config, notes: Sequence[str]) -> PlanNotes:
    whole = config.model_dump(mode="json")
    assumed = tuple((path, _shown(setting(whole, path))) for path in config.assumed)
    return PlanNotes(assumed, tuple(dict.fromkeys(notes)))


def _shown(value: Any) -> str:
    """Return a setting's value as the table note prints it; what is empty is left out."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {_shown(v)}" for k, v in value.items() if v not in (None, {}, ()))
    return ", ".join(map(_shown, value)) if isinstance(value, list) else str(value)
