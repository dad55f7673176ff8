"""The preflight of the model: an adapter that is thrown away, tried on eight short rows.

Everything runs on the base as evaluation loads it, quantised or not. Labels that are not aligned,
an end that is not trained or a decode path that differs show here as an answer that cannot be
learnt, or is learnt and not given back.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from empathy_core.backends.positions import decoder_positions
from empathy_core.errors import ModelError
from empathy_core.training import modules
from empathy_core.training.modules import Anatomy
from empathy_core.training.preflight.overfit import (
    OverfitCheck,
    answer,
    prompt,
    select_rows,
    temporary_adapter,
)
from empathy_core.training.spec import Finding, FinetuneSpec, TrainingRow
from empathy_core.types import Decoding, ModelSpec

if TYPE_CHECKING:
    from empathy_core.backends import Answer
    from empathy_core.training.preflight.overfit import Scores

NAMES = (
    "adapter-modules",
    "adapter-shape",
    "not-a-number",
    "batch-changes-loss",
    "overfit-fails",
    "overfit-not-regenerated",
)

WITHOUT_SENSE = ("adapter-modules", "adapter-shape", "not-a-number")
"""What nothing can be tuned with: after these, no more is asked of the model."""

_ENOUGH_LEARNT, _ENOUGH_GIVEN_BACK = 0.95, 0.75

_TOLERANCE = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 5e-2}
"""Of a row's mean loss, and of logits that ought to be equal. On SmolLM2 a batch of eight moves a
row's loss by up to 1.9e-6 in float32."""

_INT8_TOLERANCE = 1e-1
"""bitsandbytes' int8 rounds activations to 8 bits."""


def check_model(
    model: Any,
    tokenizer: Any,
    spec: FinetuneSpec,
    rows: Sequence[TrainingRow],
    stops: Sequence[int],
    pad: int,
) -> list[Finding]:
    """Return one finding of each of ``NAMES``, in that order.

    The adapter is taken off again, and weights, modes, generation settings and random state are
    left as they were: training may start from the same object. Where a finding leaves a later
    question without sense, that one says "not checked" and does not stop.

    Args:
        model: The base as ``load_model`` gives it, without an adapter.
        tokenizer: Its tokenizer.
        spec: What is to be trained.
        rows: Training rows; the shortest that can be learnt and given back are taken.
        stops: Tokens that end an answer.
        pad: Token that fills a batch.
    """
    found = {f.name: f for f in _found(model, tokenizer, spec, rows, (frozenset(stops), pad))}
    cause = next((f.name for f in found.values() if not f.ok), "")
    return [found.get(n) or Finding(n, True, f"not checked, since {cause} failed") for n in NAMES]


def _found(
    model: Any,
    tokenizer: Any,
    spec: FinetuneSpec,
    rows: Sequence[TrainingRow],
    ends_pad: tuple[Any, int],
) -> Iterator[Finding]:
    import torch

    ends, pad = ends_pad
    found = modules.anatomy(model)
    yield (named := _modules(found, spec))
    if not named.ok:
        return
    layers = modules.updated(found, spec)
    encoder_decoder = spec.base.is_encoder_decoder
    few = select_rows(rows, ends, encoder_decoder=encoder_decoder)
    if not few:
        yield _nothing_to_learn(len(rows))
        return
    trial = OverfitCheck(model, few, pad, encoder_decoder)
    with torch.no_grad():
        base = trial.scores(few)
    with temporary_adapter(model, spec):
        yield _shape(trial, spec, base, layers)
        del base
        yield (numbers := _numbers(trial))
        if numbers.ok:
            yield _batches(trial, spec.base)
            yield _learnt(trial)
            yield _given_back(trial, tokenizer, spec, ends)


def _nothing_to_learn(n_rows: int) -> Finding:
    return Finding(
        "overfit-fails",
        ok=False,
        evidence=f"none of {n_rows} rows has a trained label: there is nothing to learn",
        remedy="raise max_tokens, so that the answers are not cut away, and look at the shown row",
    )


# ---------------------------------------------------------------------------- the adapter


def _modules(found: Anatomy, spec: FinetuneSpec) -> Finding:
    """Ask for every module by itself: peft is content if one of several matches."""
    try:
        layers = modules.updated(found, spec)
    except ModelError as error:
        return Finding(
            "adapter-modules",
            ok=False,
            evidence=str(error),
            remedy="set 'modules' and 'exclude' to names and patterns of these",
        )
    left_out = len(found.elsewhere) and f"; no update in {', '.join(found.parts_elsewhere)}"
    return Finding("adapter-modules", ok=True, evidence=_listed(layers, spec) + (left_out or ""))


def _listed(layers: modules.Shapes, spec: FinetuneSpec) -> str:
    """Return e.g. ``q_proj and v_proj in 30 layers``."""
    counts = {name: len(modules.called(layers, name)) for name in spec.modules}
    if len(set(counts.values())) == 1:
        return f"{' and '.join(counts)} in {next(iter(counts.values()))} layers"
    return ", ".join(f"{module} in {n} layers" for module, n in counts.items())


def _expected_size(layers: modules.Shapes, spec: FinetuneSpec) -> int:
    """Return r · (inputs + outputs), summed over the layers: A is (r, inputs), B (outputs, r)."""
    return spec.lora.r * sum(map(sum, layers.values()))


def _shape(
    trial: OverfitCheck, spec: FinetuneSpec, base: "Scores", layers: modules.Shapes
) -> Finding:
    import torch

    size = _expected_size(layers, spec)
    named = list(trial.model.named_parameters())
    trainable = [(name, _count(p)) for name, p in named if p.requires_grad]
    thawed = [name for name, _ in trainable if ".lora_" not in name]
    n, whole = sum(count for _, count in trainable), sum(_count(p) for _, p in named)
    with torch.no_grad():
        moved = (trial.scores(trial.rows).logits - base.logits).abs()
    # what is no number is ``not-a-number``'s to say
    distance = float(moved.nan_to_num(0, 0, 0).max())
    equal = "equal the base's" if distance == 0 else f"differ from the base's by {distance:.1e}"
    evidence = (
        f"trainable {n:,} of {whole:,} ({n / whole:.2%}), {_listed(layers, spec)}; logits with the "
        f"fresh adapter {equal}"
    ).replace("%)", " %)")
    problems = [
        f"expected {size:,} by r · (inputs + outputs)" if n != size else "",
        f"{len(thawed)} weights of the base are not frozen ({thawed[0]} …)" if thawed else "",
        f"expected a distance up to {_tolerance(spec.base):g}"
        if distance > _tolerance(spec.base)
        else "",
    ]
    if not any(problems):
        return Finding("adapter-shape", ok=True, evidence=evidence)
    return Finding(
        "adapter-shape",
        ok=False,
        evidence="; ".join([evidence, *filter(None, problems)]),
        remedy=(
            "only the adapter may be trained, and a fresh one must change nothing: check "
            "modules and r, and the versions of peft and bitsandbytes"
        ),
    )


def _count(parameter: Any) -> int:
    """Return how many weights a parameter stands for; a 4-bit one holds two in a byte."""
    state = getattr(parameter, "quant_state", None)
    return math.prod(state.shape) if state is not None else int(parameter.numel())


def _tolerance(base: ModelSpec) -> float:
    return _INT8_TOLERANCE if base.quantization == "int8" else _TOLERANCE[base.dtype]


# ---------------------------------------------------------------------------- losses


def _numbers(trial: OverfitCheck) -> Finding:
    """Take one loss and its gradients: that of each B must be there and be finite."""
    import torch

    scores = trial.scores(trial.rows)
    losses = scores.losses
    n_bad = int((~losses.isfinite()).sum())
    trainable = [(n, p) for n, p in trial.model.named_parameters() if p.requires_grad]
    if not n_bad and trainable:
        scores.loss.backward()  # type: ignore[no-untyped-call]
    broken = [n for n, p in trainable if p.grad is not None and not bool(p.grad.isfinite().all())]
    lost = [] if n_bad else [n for n, p in trainable if p.grad is None]
    trial.model.zero_grad()
    if not (n_bad or broken or lost):
        evidence = f"first loss {float(losses.mean()):.3f}, gradients finite"
        return Finding("not-a-number", ok=True, evidence=evidence)
    named = trial.model.named_parameters()
    odd = [n for n, p in named if torch.is_floating_point(p) and not bool(p.isfinite().all())]
    problems = [
        f"the first loss of {n_bad} of {len(losses)} rows is not finite" if n_bad else "",
        f"not finite: {len(odd)} weights ({odd[0]} …)" if odd else "",
        f"not finite: {len(broken)} gradients ({broken[0]} …)" if broken else "",
        f"no gradient reaches {len(lost)} of {len(trainable)} weights ({lost[0]} …)"
        if lost
        else "",
    ]
    return Finding(
        "not-a-number",
        ok=False,
        evidence="; ".join(filter(None, problems)),
        remedy=(
            "load the weights again with 'prefetch', if they are not finite; under float16 take "
            "bfloat16 or float32"
        ),
    )


def _batches(trial: OverfitCheck, base: ModelSpec) -> Finding:
    """Compare each row alone with the row in a batch, padded as in training and in evaluation."""
    import torch

    with torch.no_grad():
        alone = torch.cat([trial.scores([row]).losses for row in trial.rows])
        batches = {"as in training": trial.scores(trial.rows)}
        if not trial.encoder_decoder:  # whose prompts are padded alike in both
            batches["as in generation"] = trial.scores_as_generated(trial.rows)
    moved = {where: float((s.losses - alone).abs().max()) for where, s in batches.items()}
    evidence = f"largest change of a row's loss between a batch of 1 and of {len(alone)}, padded "
    evidence += ", ".join(f"{where}: {distance:.1e}" for where, distance in moved.items())
    if max(moved.values()) <= _tolerance(base):
        return Finding("batch-changes-loss", ok=True, evidence=evidence)
    return Finding(
        "batch-changes-loss",
        ok=False,
        evidence=f"{evidence}; expected up to {_tolerance(base):g} in {base.dtype}",
        remedy=(
            "padding reaches the other tokens: the model ignores its attention mask; take an "
            "implementation that heeds it, or batch_size = 1 in training and evaluation"
        ),
    )


# ---------------------------------------------------------------------------- learning


def _learnt(trial: OverfitCheck) -> Finding:
    learnt = trial.learn()
    evidence = (
        f"{len(trial.rows)} rows: {learnt.accuracy:.1%} of the answer tokens right after "
        f"{learnt.steps} steps, loss {learnt.loss:.3f}"
    )
    if learnt.accuracy >= _ENOUGH_LEARNT:
        return Finding("overfit-fails", ok=True, evidence=evidence)
    return Finding(
        "overfit-fails",
        ok=False,
        evidence=f"{evidence}; expected at least {_ENOUGH_LEARNT:.0%}",
        remedy=(
            "the labels cannot be predicted from the inputs, or nothing is trained: look at the "
            'shown row and its labels, take labels = "response", and check modules; a very small '
            "base may need more modules or a larger r"
        ),
    )


def _given_back(
    trial: OverfitCheck, tokenizer: Any, spec: FinetuneSpec, ends: frozenset[int]
) -> Finding:
    """Generate from the prompts as evaluation does, and compare the texts with the answers."""
    from empathy_core.backends.hf import HfBackend

    kind = trial.encoder_decoder
    wanted = [answer(row, ends, encoder_decoder=kind) for row in trial.rows]
    prompts = [prompt(row, encoder_decoder=kind) for row in trial.rows]
    backend = HfBackend(spec.base, trial.model, tokenizer, "error")
    room, limit = max(map(len, wanted)) + 8, decoder_positions(trial.model.config)
    decoding = Decoding(max_new_tokens=room if limit is None else min(room, limit))
    answers = backend.continued(prompts, decoding, chat=spec.chat)
    texts = [
        tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        for ids in wanted
    ]
    return _compared(texts, answers)


def _compared(texts: Sequence[str], answers: Sequence["Answer"]) -> Finding:
    n = len(texts)
    pairs = list(zip([text.strip() for text in texts], answers, strict=True))
    equal = [text == a.text.strip() and a.stop == "eos" for text, a in pairs]
    begun = sum(a.text.strip().startswith(text) and a.stop != "eos" for text, a in pairs)
    ended = sum(a.stop == "eos" for a in answers)
    evidence = f"{sum(equal)} of {n} answers given back, {ended} of {n} stop by an end token"
    if sum(equal) >= _ENOUGH_GIVEN_BACK * n:
        return Finding("overfit-not-regenerated", ok=True, evidence=evidence)
    text, got = next(pair for pair, same in zip(pairs, equal, strict=True) if not same)
    evidence += f"; expected '{text[:60]}', got '{got.text.strip()[:60]}'"
    if begun:
        evidence += f"; {begun} begin with the whole answer and do not stop"
    if begun > n / 2:
        remedy = (
            "the end token is not learnt: it must be a label that is not masked, and one of the "
            "tokens at which evaluation stops"
        )
    else:
        remedy = (
            "what is learnt is not what is generated: the labels are not aligned with the inputs, "
            'or prompts differ; take labels = "response" and the same prompt in both'
        )
    return Finding("overfit-not-regenerated", ok=False, evidence=evidence, remedy=remedy)
