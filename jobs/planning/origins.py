"""What a condition's answers come from: a model, a fine-tune, people, a file of texts, or an echo.

Only what was there is told: a file of texts has columns and a digest, and neither a dtype nor a
decoding that anybody knows of.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from empathy_core.counted import counted
from empathy_core.training.adapter import adapters
from empathy_core.types import Condition, ModelSpec, Prompt
from empathy_core.weights.digests import file_digest
from jobs.config.schema import AnswersTable, Config
from jobs.planning.plan import Plan, PlannedFinetune
from reports.labels import answering_facts, dtype_words, engine_words, file_served

Fact = tuple[str, object]


def digests(config: Config) -> dict[str, str]:
    """Return name → SHA-256 of the file of each table ``[answers.<name>]``."""
    paths = {name: Path(table.path) for name, table in config.answers.items()}
    return {name: file_digest(path) for name, path in paths.items() if path.is_file()}


def of_condition(plan: Plan, condition: Condition, folder: Path | None = None) -> Iterator[Fact]:
    """Yield (what, value) of a condition; a null or empty value is nothing to tell.

    *folder*: that of its adapter if it was trained in this run.
    """
    model = condition.model
    if model.backend == "answers":
        yield from _of_file(plan, condition)
    elif model.is_human:
        yield from _of_people(model)
    elif model.backend == "echo":
        yield "made by", "an echo of the prompt, without weights"
        yield from _asked(condition)
    else:
        yield "made by", "a model"
        yield "engine", engine_words(model.engine) if model.engine else None
        yield "called there", model.served_name
        more = model.engine.request if model.engine else ()
        yield "fields of requests", ", ".join(f"{name} = {value}" for name, value in more)
        yield from _of_weights(condition)
        if made := plan.finetune_of(model.name):
            yield from _of_finetune(made, folder)
        yield from _asked(condition)
        yield from answering_facts(condition)


def _of_weights(condition: Condition) -> Iterator[Fact]:
    model = condition.model
    if model.weights and not model.runs_here:
        yield "weights there", "not checked: what follows is the configuration's"
    of_file = file_served(model.engine)
    yield "weights (tokenizer and chat template)" if of_file else "weights", model.weights
    yield "revision", model.revision
    yield "fingerprint of the weights", condition.fingerprint
    yield "adapter", "@".join(filter(None, (model.adapter, model.adapter_revision)))
    yield "tokenizer", model.tokenizer
    yield "dtype", dtype_words(model) if model.runs_here else None
    yield "attention", model.attention
    yield "quantization", model.quantization
    yield "quantization of the checkpoint", condition.stored_quantization


def _of_finetune(made: PlannedFinetune, folder: Path | None) -> Iterator[Fact]:
    spec = made.spec
    yield "fine-tuned in this run", made.id
    if folder is not None:
        done = adapters.is_complete(folder)
        yield "digest of the adapter", adapters.digest_of(folder) if done else "not trained yet"
    yield "base", f"{spec.base.name} ({spec.base.weights})"
    yield "trained on", f"{counted(made.n_rows, 'row')} of {made.sources}, seed {spec.seed}"
    yield "trained for", f"{counted(made.n_steps, 'step')} of {counted(spec.batch_size, 'row')}"
    yield "learning rate", f"{spec.learning_rate:g}, {spec.schedule}"
    yield "trained under prompt", spec.prompt.name


def _of_people(model: ModelSpec) -> Iterator[Fact]:
    yield "made by", "people: a therapist's answer, compared with others to the same question"
    yield "options", ", ".join(f"{name} = {value}" for name, value in model.options)


def _of_file(plan: Plan, condition: Condition) -> Iterator[Fact]:
    name = condition.model.name
    yield "made by", "imported answers, from a file: their decoding is not known"
    given = _table(plan.config.get("answers", {}).get(name, {}))
    if given is not None:
        path, then = Path(given.path), plan.made_from.get(name, "")
        yield "file", str(path)
        yield "SHA-256 when it was read", then or "not recorded by that version"
        yield "SHA-256 now", _now(path, then)
        yield "format", given.format
        keyed = given.question or given.example
        columns = {
            "questions": given.question,
            "ids of the examples": None if given.question else given.example,
            "questions or ids of the examples": None if keyed else "question' or 'example",
            "answers": given.text if given.format == "table" else None,
            "numbers of the samples": given.sample,
        }
        named = (f"{kind}: '{column}'" for kind, column in columns.items() if column)
        yield "columns", ", ".join(named)
    yield "digest of the texts", condition.fingerprint
    if condition.decoding.samples > 1:
        yield "answers to an example", condition.decoding.samples
    yield "prompt, as declared", _shown(condition.prompt)


def _table(given: Mapping[str, object]) -> AnswersTable | None:
    known = {k: v for k, v in given.items() if k in AnswersTable.model_fields}
    return AnswersTable.model_validate_json(json.dumps(known)) if "path" in known else None


def _now(path: Path, then: str) -> str:
    if not path.is_file():
        return "the file is gone"
    now = file_digest(path)
    return "the same" if now == then else f"{now}{' (it changed since)' if then else ''}"


def _asked(condition: Condition) -> Iterator[Fact]:
    prompt = condition.prompt
    if not condition.chat:
        yield "prompt", _shown(prompt)
    for message in prompt.messages if condition.chat else ():
        yield f"prompt, {message.role}", message.content


def _shown(prompt: Prompt) -> str:
    return f"{prompt.name}: {prompt.text}"
