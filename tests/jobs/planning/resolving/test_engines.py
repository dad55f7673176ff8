"""Engines of a plan: what they are made of, who may send texts where, and what array tasks get."""

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from empathy_core import engines
from empathy_core.data import Source
from empathy_core.errors import ConfigError
from empathy_core.prompts import prompt
from empathy_core.types import Condition, Decoding, EngineSpec, ModelSpec
from jobs.config.engines import refused
from jobs.planning.resolving.engines import check_followed, check_may_leave, check_on_slurm, leaves

HOSTED = EngineSpec(name="gateway", base_url="https://models.example.org/v1", prompts="messages")


def plan(engine: EngineSpec) -> Any:
    """Return what is looked at of a plan with one condition."""
    model = ModelSpec("m", "M", "server", engine=engine)
    return SimpleNamespace(conditions=[Condition(model, prompt("none"), Decoding())], judges=())


@pytest.mark.parametrize(
    ("url", "leave"),
    [
        ("https://models.example.org/v1", True),
        ("http://10.1.2.3:8000/v1", True),
        ("http://127.0.0.1:8000/v1", False),
        ("http://localhost:8000/v1", False),
        ("http://[::1]:8000/v1", False),
        ("http://127.0.0.1.example.org/v1", True),
    ],
)
def test_texts_leave_for_every_host_but_this_one(url: str, leave: bool):
    assert leaves(replace(HOSTED, base_url=url)) is leave


def test_each_source_must_say_that_its_texts_may_leave():
    may, kept = Source("open", may_leave=True), Source("kept", licence="research only")
    check_may_leave("m", HOSTED, [may])

    with pytest.raises(ConfigError) as caught:
        check_may_leave("m", HOSTED, [may, kept])

    assert "kept (licence: research only)" in str(caught.value)
    assert "[data.sources.kept]" in str(caught.value)
    assert "data.sources.open" not in str(caught.value)


def test_array_tasks_need_the_network_and_a_file_with_the_key():
    with pytest.raises(ConfigError, match="set offline = false"):
        check_on_slurm(plan(HOSTED), offline=True)
    with pytest.raises(ConfigError, match="expected a key_file"):
        check_on_slurm(plan(replace(HOSTED, key_variable="KEY")), offline=False)

    check_on_slurm(plan(replace(HOSTED, key_file="/k")), offline=False)
    check_on_slurm(plan(engines.engine("vllm")), offline=True)


def test_what_an_engine_does_not_follow_is_refused_and_what_greedy_leaves_unused_is_not():
    llama = engines.engine("llama_cpp")

    assert refused(llama, Decoding(temperature=0.3, top_k=5)) == ""
    assert refused(llama, Decoding(sample=True, temperature=0.3, top_k=5)) == ""
    assert "repetition_penalty" in refused(llama, Decoding(repetition_penalty=1.1))
    assert "no_repeat_ngram_size" in refused(
        engines.engine("vllm"), Decoding(no_repeat_ngram_size=2)
    )


def test_forced_and_forbidden_tokens_of_a_checkpoint_are_not_left_out_silently():
    model = ModelSpec("m", "M", "hf", "decoder", "w", engine=engines.engine("vllm"))
    condition = Condition(model, prompt("none"), Decoding())
    forced = (("forced_bos_token_id", "5"), ("stop_strings", '["x"]'))

    with pytest.raises(ConfigError, match="sets forced_bos_token_id, which engine 'vllm'"):
        check_followed(replace(condition, structure=forced))

    check_followed(replace(condition, structure=forced[1:]))
    check_followed(replace(condition, structure=forced, model=replace(model, engine=None)))


def test_ids_of_conditions_without_an_engine_do_not_move():
    """Of version 3 of the generation code, as runs that are there have them."""
    model = ModelSpec("m", "M", "hf", "decoder", "w")
    condition = Condition(model, prompt("none"), Decoding(), fingerprint="f", generation_version=3)

    assert condition.id == "m.none.greedy-6a5e192c"


def test_everything_that_may_change_a_text_is_in_the_identity():
    vllm = engines.engine("vllm")
    model = ModelSpec("m", "M", "hf", "decoder", "w")

    def id_of(engine: EngineSpec | None) -> str:
        return Condition(replace(model, engine=engine), prompt("none"), Decoding()).id

    unlike = [
        None, vllm, replace(vllm, gpus=2), replace(vllm, context=4096),
        replace(vllm, arguments=("--max-num-seqs", "8")), replace(vllm, request=(("a", 1),)),
        replace(vllm, versions=(("vllm", "0.33"),)), replace(vllm, prompts="messages"),
        replace(vllm, environment=(("VLLM_ATTENTION_BACKEND", "X"),)),
    ]  # fmt: skip
    alike = [
        vllm, replace(vllm, python="/elsewhere"), replace(vllm, max_in_flight=1),
        replace(vllm, name="other"), replace(vllm, max_usd=1.0), replace(vllm, max_restarts=9),
    ]  # fmt: skip

    assert len(set(map(id_of, unlike))) == len(unlike)
    assert len(set(map(id_of, alike))) == 1


@pytest.mark.parametrize("name", engines.names())
def test_recipes_fill_in_what_they_name_and_keep_keys_out_of_arguments(name: str):
    engine = engines.engine(name)
    known = {"python", "weights", "weights_file", "port", "served_name", "dtype", "gpus", "context"}

    named = {found for word in engine.command for found in re.findall(r"\{(\w+)\}", word)}
    assert named <= known
    assert {"port", "served_name"} <= named
    assert "127.0.0.1" in engine.command
    assert engine.packages or engine.version_command
