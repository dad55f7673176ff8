"""For every family, the suite's greedy ids equal plain transformers' on the same rendered ids."""

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from empathy_core.errors import ModelError
from empathy_core.weights.checkpoint import skeleton
from tests.zoo_answers import ours, plain, spec, theirs
from tests.zoo_layouts import rewrite
from tests.zoo_models import FAMILIES, make


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_answers_as_plain_transformers_does(family: str, tmp_path: Path) -> None:
    """In a padded batch here, one by one there; and its headers are found to be whole."""
    folder, architecture = make(family, tmp_path / family), FAMILIES[family].architecture
    assert skeleton(folder, "tiny") is not None
    prompts, answers = ours(spec(folder, architecture))
    assert len(set(map(len, prompts))) > 1
    assert answers == theirs(plain(folder, architecture), prompts)
    assert len(set(answers)) > 1 or family == "rwkv"  # random ones repeat a token


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_tensor_is_lost_swapped_or_added(
    family: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A tensor that is dropped, exchanged for one of another shape, or has no place is found."""
    folder = make(family, tmp_path_factory.mktemp(family))
    how = data.draw(st.sampled_from(["drop", "swap", "add"]))

    def changed(tensors: dict) -> dict:  # type: ignore[type-arg]
        # transformers itself says that a checkpoint may do without this one
        names = sorted(set(tensors) - {"final_logits_bias"})
        one = data.draw(st.sampled_from(names))
        if how == "add":
            return {**tensors, f"{one}_scale": tensors[one][:1]}
        if how == "drop":
            return {name: t for name, t in tensors.items() if name != one}
        others = [n for n in names if tensors[n].shape != tensors[one].shape]
        other = data.draw(st.sampled_from(others))
        return {**tensors, one: tensors[other], other: tensors[one]}

    rewrite(folder, changed)
    with pytest.raises(ModelError, match=r"are not those of the model that config\.json"):
        skeleton(folder, "tiny")


LEFT_OVER = {
    "gpt2": ("transformer.h.0.attn.bias", "transformer.h.1.attn.masked_bias"),
    "gptj": ("transformer.h.0.attn.bias", "transformer.h.1.attn.masked_bias"),
    "gpt_neo": ("transformer.h.0.attn.attention.bias",),
    "gpt_neox": ("gpt_neox.layers.0.attention.bias", "gpt_neox.layers.1.attention.masked_bias"),
    "codegen": ("transformer.h.0.attn.causal_mask",),
    "llama": ("model.layers.0.self_attn.rotary_emb.inv_freq",),
    "bart": ("model.encoder.version", "model.decoder.version"),
}


@pytest.mark.parametrize("family", LEFT_OVER)
def test_what_older_versions_saved_is_harmless(family: str, tmp_path: Path) -> None:
    """Masks and frequencies that are computed now; any other name has no place."""
    folder, architecture = make(family, tmp_path / family), FAMILIES[family].architecture
    before = ours(spec(folder, architecture))
    names = LEFT_OVER[family]
    rewrite(folder, lambda tensors: {**tensors, **dict.fromkeys(names, torch.ones(1))})
    assert skeleton(folder, "tiny") is not None
    assert ours(spec(folder, architecture)) == before
    rewrite(folder, lambda tensors: {**tensors, "foreign.weight": torch.ones(1)})
    with pytest.raises(ModelError, match=r"foreign\.weight has no place in the model"):
        skeleton(folder, "tiny")
    with pytest.raises(ModelError, match=r"foreign\.weight has no place in the model"):
        ours(spec(folder, architecture))
