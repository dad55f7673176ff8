"""What judges are asked: ``[judges.<name>]`` → one metric for each dimension of its rubrics."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from empathy_core import models, rubrics
from empathy_core.errors import ConfigError, UnknownName
from empathy_core.metrics import GENERATED, JUDGE, PREFERENCE
from empathy_core.rubrics.spec import Rubric
from empathy_core.types import ModelSpec
from jobs.config import contrasts
from jobs.config.judge_table import JudgeTable
from jobs.config.schema import Config, ModelTable, model_of

_MODEL = TypeAdapter(ModelSpec)
_RUBRIC = TypeAdapter(Rubric)


def metric_options(config: Config) -> dict[str, Mapping[str, Any]]:
    """Return name → settings of every metric: those of ``[metrics]``, and the judges'.

    Raises:
        ConfigError: A judge cannot be asked; see ``questions``.
    """
    asked = (options for name in config.judges for options in questions(config, name).items())
    return {**config.metrics, **dict(asked)}


@dataclass(frozen=True, slots=True)
class Opponent:
    """A condition whose answers others are compared with.

    Attributes:
        id: Empty in a configuration that is only read.
        label: As printed in tables.
    """

    id: str
    label: str


def questions(
    config: Config,
    name: str,
    spec: ModelSpec | None = None,
    opponents: Sequence[Opponent] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return what one judge is asked: name of a metric → its settings.

    Args:
        config: The configuration.
        name: Of the judge.
        spec: Its model, as the plan has it; null means as the configuration has it.
        opponents: What answers are compared with, the baseline first; null means the baseline.

    Raises:
        UnknownName: Its model, a rubric or a dimension is not there, or the baseline.
        ConfigError: Its model cannot judge, a rubric may not be asked of a single reply, or one
            compares and no baseline is named.
    """
    table = config.judges[name]
    model = spec or judge_model(config, table)
    settings = {
        "judge": name,
        "label": table.label or model.label,
        "model": _MODEL.dump_python(model, mode="json"),
        "min_mass": table.min_mass,
        "tier_column": table.tier_column,
        "overlong": table.overlong,
        "batch_size": table.batch_size,
    }
    kind = JUDGE
    if table.answer == "generated":
        kind = GENERATED
        settings |= {"reason": table.reason, "answer_tokens": table.answer_tokens}
    found: dict[str, dict[str, Any]] = {}
    for rubric in chosen_rubrics(table.rubrics, table.dimensions, wordings=table.wordings):
        _check_baseline(config, table, rubric)
        for dimension in rubric.dimensions:
            alone = _RUBRIC.dump_python(replace(rubric, dimensions=(dimension,)), mode="json")
            asked = settings | {"rubric": alone}
            stem = f"{name}:{rubric.name}:{dimension.name}"
            if rubric.pairwise:
                known = opponents or [Opponent("", str(table.baseline))]
                found |= _comparisons(stem, asked, known, table.pairs_share)
            else:
                found[f"{kind}{stem}"] = asked
    _check_wordings(table)
    _check_answer(table)
    _check_effects(table, compares=any(n.startswith(PREFERENCE) for n in found))
    return found


def _check_answer(table: JudgeTable) -> None:
    """Refuse settings of another way to answer."""
    of = {"generated": ("min_mass",), "labels": ("reason", "answer_tokens")}[table.answer]
    for name in of:
        if getattr(table, name) != JudgeTable.model_fields[name].default:
            other = "labels" if table.answer == "generated" else "generated"
            msg = (
                f'{name} has no effect with answer = "{table.answer}"; expected it with '
                f'answer = "{other}" only; set that, or leave {name} out'
            )
            raise ConfigError(msg)


def _check_effects(table: JudgeTable, *, compares: bool) -> None:
    """Refuse settings of comparisons that change nothing."""
    if not compares and (table.baseline is not None or table.opponents == "all"):
        given = f"baseline = '{table.baseline}'" if table.baseline else 'opponents = "all"'
        msg = (
            f"{given} has no effect, since no rubric compares two replies; "
            'expected one that does; add "emrank" to rubrics, or leave it out'
        )
        raise ConfigError(msg)
    if table.pairs_share < 1 and table.opponents != "all":
        msg = (
            f"pairs_share = {table.pairs_share:g} has no effect: the baseline is compared at every "
            'question; expected it with opponents = "all" only; add that, or leave it out'
        )
        raise ConfigError(msg)


def _check_wordings(table: JudgeTable) -> None:
    """Refuse paraphrases where none ship: one wording would be taken for a check of three."""
    shipped = [name for name in table.rubrics if not name.endswith(".toml")]
    if table.wordings and not any(len(rubrics.wordings(name)) > 1 for name in shipped):
        known = [name for name in rubrics.names() if len(rubrics.wordings(name)) > 1]
        msg = (
            "wordings = true has no effect, since no paraphrase ships of its rubrics; expected one "
            f"of {', '.join(known)} among them; add one, or leave wordings out"
        )
        raise ConfigError(msg)


def _comparisons(
    stem: str, asked: Mapping[str, Any], opponents: Sequence[Opponent], share: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the metric of each opponent, the baseline's under the plain name."""
    for i, other in enumerate(opponents):
        own = {
            "opponent": other.id,
            "opponent_label": other.label,
            "baseline": opponents[0].id,
            "share": 1.0 if i == 0 else share,
        }
        yield f"{PREFERENCE}{stem}{f':{other.id}' if i else ''}", {**asked, **own}


def _require_askable(*asked: Rubric) -> None:
    """Refuse a rubric that neither compares replies nor may be asked of one."""
    for rubric in asked:
        if not rubric.pairwise:
            rubrics.require_single_reply(rubric)


def _check_baseline(config: Config, table: JudgeTable, rubric: Rubric) -> None:
    _require_askable(rubric)
    if not rubric.pairwise:
        return
    if table.answer == "generated":
        msg = (
            f"rubric '{rubric.name}' compares two replies, and a judge that writes its answer is "
            "not asked to; expected a rubric that rates one reply; leave it out, or give it to a "
            'judge with answer = "labels"'
        )
        raise ConfigError(msg)
    if table.baseline is None:
        msg = (
            f"rubric '{rubric.name}' compares two replies, and no baseline is named; expected a "
            'model, or model.prompt; set baseline = "…"'
        )
        raise ConfigError(msg)
    contrasts.check(config, table.baseline)


def judge_model(config: Config, table: JudgeTable) -> ModelSpec:
    """Return the model that judges.

    Raises:
        UnknownName: It is not under ``[models]`` and does not ship.
        ConfigError: It cannot tell the probabilities of given answers, or has nothing to write.
    """
    if table.model in config.models:
        spec = config.model_spec(table.model)
    elif table.model in models.names():
        spec = model_of(table.model, ModelTable(prompts=()))
    else:
        raise UnknownName("model", table.model, [*config.models, *models.names()])
    if table.answer == "generated":
        if spec.backend not in ("hf", "server"):
            msg = (
                f"model '{table.model}' cannot judge: nothing reads with it (backend "
                f"{spec.backend}); expected a language model; use one with weights, or on a server"
            )
            raise ConfigError(msg)
        return spec
    lacking = _lacking(spec)
    if lacking:
        msg = (
            f"model '{table.model}' cannot judge: {lacking}; expected a model that tells how "
            "probable each answer of a scale is; use one with weights at hand, or vLLM, or let it "
            'write: answer = "generated"'
        )
        raise ConfigError(msg)
    return spec


def _lacking(spec: ModelSpec) -> str:
    """Return why a model has no probabilities of given answers; empty if it has them."""
    if spec.rendered_elsewhere:
        return "its server is sent texts, not tokens"
    if spec.backend != "hf" or not spec.weights:
        return f"it has no weights (backend {spec.backend})"
    if spec.engine is not None and spec.engine.probabilities is None:
        return (
            f"engine '{spec.engine.name}' is not known to tell the probabilities of given answers "
            f"(if its server does, set probabilities under [engines.{spec.engine.name}])"
        )
    return ""


def chosen_rubrics(
    names: Sequence[str], dimensions: Sequence[str], *, wordings: bool = False
) -> Iterator[Rubric]:
    """Yield rubrics with the dimensions that are asked.

    Args:
        names: Of rubrics that ship, or paths to one's own.
        dimensions: Names of dimensions; empty for all.
        wordings: The paraphrases that ship of each rubric as well.

    Raises:
        UnknownName: A rubric is not there.
        ConfigError: A dimension is of no rubric, a rubric has none of them, or two have one name.
    """
    known: list[str] = []
    seen: dict[str, Rubric] = {}
    for name in names:
        first = rubrics.read(Path(name)) if name.endswith(".toml") else rubrics.rubric(name)
        paraphrases = rubrics.wordings(name)[1:] if wordings and first.name == name else ()
        for rubric in (first, *paraphrases):
            known += [dimension.name for dimension in rubric.dimensions]
            _require_one(seen.setdefault(rubric.name, rubric), rubric)
            chosen = (d for d in rubric.dimensions if d.name in (dimensions or (d.name,)))
            yield replace(rubric, dimensions=tuple(chosen))
    for dimension in dimensions:
        if dimension not in known:
            close = get_close_matches(dimension, known, n=1)
            guess = f" Did you mean '{close[0]}'?" if close else ""
            msg = (
                f"unknown dimension '{dimension}'.{guess} Known: {', '.join(dict.fromkeys(known))}"
            )
            raise ConfigError(msg)
    for rubric in seen.values():
        own = [dimension.name for dimension in rubric.dimensions]
        if dimensions and not {*own} & {*dimensions}:
            msg = (
                f"rubric '{rubric.name}' has none of the dimensions {', '.join(dimensions)}; "
                f"expected at least one of {', '.join(own)}; add one, or leave the rubric out"
            )
            raise ConfigError(msg)


def _require_one(first: Rubric, other: Rubric) -> None:
    """Refuse two rubrics of one name, of which only one would be asked."""
    if first != other:
        msg = (
            f"two rubrics are called '{other.name}', which names their columns; expected one; "
            "rename the file of your own"
        )
        raise ConfigError(msg)


def judge_lookups(config: Config, name: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what a judge's table names, as (key, what raises if it is wrong); the model first."""
    table = config.judges[name]
    chosen = partial(chosen_rubrics, table.rubrics, wordings=table.wordings)
    yield "model", partial(judge_model, config, table)
    yield "rubrics", lambda: _require_askable(*chosen(()))
    yield "dimensions", lambda: list(chosen(table.dimensions))
    if table.baseline is not None:
        yield "baseline", partial(contrasts.check, config, table.baseline)
    if table.elsewhere:
        yield "elsewhere", partial(check_elsewhere, config, name)


def check_elsewhere(config: Config, name: str) -> None:
    """Refuse counts of other data that belong to no yes-or-no question of a judge, or contradict.

    Raises:
        ConfigError: Naming the first.
    """
    table = config.judges[name]
    known = {
        f"{rubric.name}.{dimension.name}"
        for rubric in chosen_rubrics(table.rubrics, table.dimensions, wordings=table.wordings)
        for dimension in rubric.dimensions
        if dimension.is_share and not rubric.pairwise
    }
    for asked, of in table.elsewhere.items():
        if asked not in known:
            raise UnknownName("yes-or-no question of this judge", asked, sorted(known))
        for part, whole in (("found", "positive"), ("cleared", "negative")):
            if getattr(of, part) > getattr(of, whole):
                msg = (
                    f"{asked}: {part} = {getattr(of, part)} is more than {whole} = "
                    f"{getattr(of, whole)}, of which it is a part; correct one of them"
                )
                raise ConfigError(msg)
