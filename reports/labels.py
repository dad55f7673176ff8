"""What conditions, decodings and numbers are called in print. Pure."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath

from empathy_core.types import Column, Condition, Decoding, EngineSpec, ModelSpec

NOTHING = "\N{EN DASH}"
"""Printed where no number is there yet."""

NOT_APPLICABLE = "N/A"
"""Printed where rows are there and the metric can score none of them."""


def number(value: float | None, column: Column, *, signed: bool = False) -> str:
    """Return *value* as it is printed; *signed* for a difference. Null becomes ``NOTHING``."""
    if value is None or math.isnan(value):
        return NOTHING
    if column.percent:
        value *= 100
    text = f"{abs(value):,.{column.decimals}f}" + ("%" if column.percent else "")
    is_zero = not re.search("[1-9]", text)  # what rounds to zero has no sign
    sign = "" if is_zero else "\N{MINUS SIGN}" if value < 0 else "+" if signed else ""
    return sign + text


def printed(value: float, column: Column) -> float:
    """Return *value* rounded to what ``number`` shows of it, so that equal texts are equal."""
    factor = 100 if column.percent else 1
    return float(f"{value * factor:.{column.decimals}f}") / factor + 0.0


def label_below(column: Column) -> str:
    """Return a column's label below the heading of its group, which may end with the same words.

    ``Empathy (people)`` alone says that people rated; below ``MentalAlign (people)`` it need not.
    """
    said = re.search(r" \([^()]*\)$", column.label)
    ends_alike = said is not None and column.group.endswith(said[0])
    return column.label.removesuffix(said[0]) if said and ends_alike else column.label


def column_title(column: Column) -> str:
    """Return what a column is called in a sentence, e.g. ``BERTScore (F1)``."""
    return f"{column.group} ({label_below(column)})" if column.group else column.label


def p_text(p: float | None) -> str:
    """Return a p as it is printed: three decimals, or ``< 0.001``."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(n: int) -> str:
    """Return a number of things, e.g. ``1,234``."""
    return f"{n:,}"


def n_of(n: int, of: int) -> str:
    """Return a part of a number of things, e.g. ``12 of 1,234``."""
    return f"{count(n)} of {count(of)}"


def decimal(value: float | None, decimals: int, *, signed: bool = False) -> str:
    """Return a number that is no score, e.g. an effect or a loss. Null becomes ``NOTHING``."""
    return number(value, Column("", "", None, decimals=decimals), signed=signed)


def percent(value: float | None, decimals: int = 1) -> str:
    """Return a share of 1 as a percentage, e.g. ``3.1%``. Null becomes ``NOTHING``."""
    return number(value, Column("", "", None, decimals=decimals, percent=True))


def general(value: float) -> str:
    """Return a setting with no more digits than it has, e.g. ``0.05``."""
    return f"{value:g}"


def power_of_ten(value: float) -> str:
    """Return a number of which only the size matters, e.g. ``3.1e-07``."""
    return f"{value:.1e}"


def share(n: int, of: int) -> str:
    """Return a percentage with one digit, e.g. ``3.1%``."""
    return f"{100 * n / of:.1f}%" if of else NOTHING


def told_apart(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return the conditions with a label for each model: one that several bear gets their names.

    Rows stand below their model's label, so that two models under one would be taken for one.
    """
    conditions = tuple(conditions)
    bearers: dict[str, set[str]] = {}
    for condition in conditions:
        bearers.setdefault(condition.model.label, set()).add(condition.model.name)
    shared = {label for label, names in bearers.items() if len(names) > 1}
    return tuple(
        replace(c, model=replace(c.model, label=f"{c.model.label} ({c.model.name})"))
        if c.model.label in shared
        else c
        for c in conditions
    )


def row_labels(conditions: Iterable[Condition]) -> dict[str, str]:
    """Return condition id → label of its row below its model's: the prompt's, made unique.

    What tells two rows of one model apart is added only where the prompt alone does not.
    """
    conditions = tuple(conditions)
    parts: tuple[Callable[[Condition], str], ...] = (
        lambda c: "" if c.model.is_human else c.prompt.label,
        _decoded,
        lambda c: "chat template" if c.chat else "no chat template",
        lambda c: c.model.name,
        lambda c: c.id.rpartition("-")[2],
    )
    labels = {c.id: parts[0](c) for c in conditions}
    for part in parts[1:]:
        shared = _shared(conditions, labels)
        told_apart = {c.id: part(c) for c in conditions if c.id in shared}
        if len(set(told_apart.values())) > 1:
            labels |= {i: ", ".join(filter(None, (labels[i], p))) for i, p in told_apart.items()}
    return labels


CHOSEN = "\N{DOUBLE DAGGER}"
"""Behind the label of a row whose answers were chosen: it costs more than one answer a question."""


def _decoded(condition: Condition) -> str:
    """Return the decoding's name, marked where the answers were chosen."""
    return condition.decoding.name + f" {CHOSEN}" * (condition.choice is not None)


def _shared(conditions: Sequence[Condition], labels: dict[str, str]) -> set[str]:
    """Return the ids of conditions whose model and row label another condition bears as well."""
    times = Counter((c.model.label, labels[c.id]) for c in conditions)
    return {c.id for c in conditions if times[c.model.label, labels[c.id]] > 1}


def full_name(condition: Condition, labels: dict[str, str]) -> str:
    """Return model and row label in one, e.g. ``FLAN-T5, Prompt 1``."""
    return ", ".join(filter(None, (condition.model.label, labels[condition.id])))


def decoding_words(decoding: Decoding) -> str:
    """Return what a reader must know to decode the same way."""
    words = ["greedy"]
    if decoding.sample:
        words = [f"sampled at temperature {decoding.temperature:g}", f"seed {decoding.seed}"]
        words += [f"top-k {decoding.top_k}"] * (decoding.top_k > 0)
        words += [f"top-p {decoding.top_p:g}"] * (decoding.top_p < 1)
        words += [f"{decoding.samples} samples a question"] * (decoding.samples > 1)
    words.append(f"at most {decoding.max_new_tokens} new tokens")
    words += [f"at least {decoding.min_new_tokens}"] * (decoding.min_new_tokens > 0)
    penalty, ngram = decoding.repetition_penalty, decoding.no_repeat_ngram_size
    words += [f"repetition penalty {penalty:g}"] * (penalty != 1)
    words += [f"no repeated {ngram}-gram"] * (ngram > 0)
    words += [f"ended before {', '.join(map(_quoted, decoding.stop))}"] * bool(decoding.stop)
    return ", ".join(words)


def decoded_words(condition: Condition) -> str:
    """Return the same of a condition: of one whose answers were chosen, also how."""
    words, choice = decoding_words(condition.decoding), condition.choice
    if choice is None:
        return words
    by = f"{choice.label} by {choice.judge}" if choice.judge else choice.label
    return f"the best of {count(choice.n)} samples by {by}, each {words}"


def answering_facts(condition: Condition) -> Iterator[tuple[str, str]]:
    """Yield what a reader must know to ask the same way and to read the same answers.

    Of a model with weights: (what, value); an empty value is nothing to tell.
    """
    yield "chat template", template_words(condition)
    yield "reasoning, not scored", reasoning_words(condition)
    kept = (f"{name} = {value}" for name, value in condition.structure)
    yield "settings of the checkpoint", ", ".join(kept)
    yield "decoding", decoded_words(condition)


def file_served(engine: EngineSpec | None) -> str:
    """Return the name of the file of weights that a server reads in the place of the model's."""
    words = (*engine.command, *engine.arguments) if engine else ()
    is_read = any("{weights_file}" in word for word in words)
    return PurePath(engine.weights_file).name if engine and is_read else ""


def dtype_words(model: ModelSpec) -> str:
    """Return in which form numbers are: an engine that reads a file of its own takes the file's."""
    file = file_served(model.engine)
    return f"that of {file}" if file else model.dtype


def _version_words(name: str, value: str, engine: EngineSpec) -> str:
    """Return a version, or the name and the beginning of the digest of a file that is used."""
    if name in ("weights_file", "image"):
        return f"{PurePath(getattr(engine, name)).name} {value[:12]}"
    return value.partition(" files:")[0]


def engine_words(engine: EngineSpec) -> str:
    """Return what generates, e.g. ``vllm (vllm 0.33.0)``; or where, e.g. ``a (example.org)``."""
    told = [_version_words(name, value, engine) for name, value in engine.versions]
    if engine.is_elsewhere:
        told = [engine.base_url.split("//")[-1].split("/")[0], *told]
    told += [f"{name} = {value}" for name, value in engine.request]
    return f"{engine.name} ({', '.join(told)})" if told else engine.name


def reasoning_words(condition: Condition) -> str:
    """Return between what an answer's reasoning stands; empty if there is none."""
    begin, end = condition.reasoning or ("", "")
    return f"between {begin.strip()} and {end.strip()}" if condition.reasoning else ""


def template_words(condition: Condition) -> str:
    """Return whether the chat template is applied, and with what besides the messages."""
    if condition.model.rendered_elsewhere:
        return "the server's"
    if not condition.chat:
        return "not applied"
    model, words = condition.model, ["applied"]
    words += [f"{name} = {json.dumps(value)}" for name, value in model.template_arguments]
    words += ["system message put before the user's words"] * model.fold_system
    words += ["its default system text kept"] * (model.template_default == "keep")
    return ", ".join(words)


def _quoted(text: str) -> str:
    """Return *text* in quotation marks, line breaks spelled out."""
    return "\N{LEFT DOUBLE QUOTATION MARK}" + repr(text)[1:-1] + "\N{RIGHT DOUBLE QUOTATION MARK}"


def short_signature(signature: str) -> str:
    """Return a signature without digests and package versions; the page has it in full.

    A version has three numbers; one with two is a setting that moves numbers, such as ``min_mass``.
    """
    kept = [pair for pair in signature.split("|") if not _is_version_or_digest(pair)]
    return "; ".join(pair.replace(":", " ", 1) for pair in kept)


def _is_version_or_digest(pair: str) -> bool:
    value = pair.partition(":")[2]
    return bool(re.fullmatch(r"v?\d+(\.\d+){2,}\S*|[0-9a-f]{8,}", value))
