"""Checkpoints that are quantised already: loaded with their scales, or refused by name."""

import json
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from empathy_core import backends
from empathy_core.backends import loading
from empathy_core.errors import ModelError
from empathy_core.weights import checkpoint
from tests.zoo_answers import ours, plain, spec, theirs
from tests.zoo_layouts import LAYOUTS, quantised, rewrite, rewrite_config, wide_llama

LABELS = {
    "nf4": "nf4",
    "nf4 double": "nf4 double",
    "fp4": "fp4",
    "int8": "int8",
    "fp8": "fp8 blocks 32x32",
    "compressed fp8": "compressed-tensors float-quantized 8-bit",
    "compressed w8a8": "compressed-tensors int-quantized 8-bit",
    "gptq": "gptq 4-bit",
    "awq": "awq 4-bit",
}
NEEDS = {
    "compressed fp8": ("compressed-tensors",),
    "compressed w8a8": ("compressed-tensors",),
    "gptq": ("optimum", "gptqmodel"),
    "awq": ("gptqmodel",),
}
SCALES = {
    "nf4": ("absmax", "quant_map", "quant_state.bitsandbytes__nf4"),
    "nf4 double": ("absmax", "quant_map", "nested_absmax", "quant_state.bitsandbytes__nf4"),
    "fp4": ("absmax", "quant_map", "quant_state.bitsandbytes__fp4"),
    "int8": ("SCB",),
    "fp8": ("weight_scale_inv",),
    "compressed fp8": ("weight_scale",),
    "compressed w8a8": ("weight_scale",),
    "gptq": ("scales", "qzeros", "g_idx"),
    "awq": ("scales", "qzeros"),
}


def lacking(layout: str) -> list[str]:
    """Return the packages of a layout that are not installed here."""

    def absent(package: str) -> bool:
        try:
            version(package)
        except PackageNotFoundError:
            return True
        return False

    return [package for package in NEEDS.get(layout, ()) if absent(package)]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One model in every layout, and as it was."""
    root = tmp_path_factory.mktemp("layouts")
    base = wide_llama(root / "whole")
    made = {layout: quantised(base, layout, root / layout.replace(" ", "-")) for layout in LAYOUTS}
    return {"whole": base, **made}


def exactly(folder: Path) -> Any:
    """Return the model as plain transformers loads it, kept from packing its layers anew."""
    model = plain(folder)
    loading._keep_exact(model)
    return model


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_answers_as_plain_transformers_does_or_is_refused(
    layout: str, stored: dict[str, Path]
) -> None:
    """With its scales; where a package is absent, it is named."""
    model = spec(stored[layout])
    if absent := lacking(layout):
        with pytest.raises(ModelError, match=f"needs {' and '.join(absent)}; expected"):
            loading.check_loadable(model, stored[layout])
        with pytest.raises(ModelError, match=f"needs {' and '.join(absent)}; expected"):
            backends.load(model)
        return
    loading.check_loadable(model, stored[layout])
    prompts, answers = ours(model, alone=True)
    assert answers == theirs(exactly(stored[layout]), prompts)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_named_and_its_headers_are_whole(layout: str, stored: dict[str, Path]) -> None:
    """Whatever is installed, the headers make the model that it was made of."""
    found = checkpoint.stored_in(stored[layout], "tiny")
    assert found is not None
    assert found.label == LABELS[layout]
    bones, whole = (checkpoint.skeleton(stored[name], "tiny") for name in (layout, "whole"))
    shapes = {name: p.shape for name, p in bones.named_parameters()}
    assert shapes == {name: p.shape for name, p in whole.named_parameters()}
    assert checkpoint.stored_in(stored["whole"], "tiny") is None


@pytest.mark.parametrize(
    ("layout", "scale"), [(layout, scale) for layout in LAYOUTS for scale in SCALES[layout]]
)
def test_a_lost_scale_is_found_by_the_headers(
    layout: str, scale: str, stored: dict[str, Path], tmp_path: Path
) -> None:
    """Without it, the weights are another model's."""
    folder = Path(shutil.copytree(stored[layout], tmp_path / "torn"))
    names = [n for n in load_file(folder / "model.safetensors") if n.endswith(f".{scale}")]
    lost = sorted(names)[len(names) // 2]
    rewrite(folder, lambda tensors: {n: t for n, t in tensors.items() if n != lost})
    with pytest.raises(ModelError, match=r"are not those of the model that config\.json"):
        checkpoint.skeleton(folder, "tiny")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_settings_that_are_lost_are_found_by_the_types(
    layout: str, stored: dict[str, Path], tmp_path: Path
) -> None:
    """A config.json without its quantization_config does not make the weights whole ones."""
    folder = Path(shutil.copytree(stored[layout], tmp_path / "bare"))
    config = json.loads((folder / "config.json").read_text())
    del config["quantization_config"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"are not those of the model that config\.json"):
        backends.load(spec(folder))
    with pytest.raises(ModelError, match=r"are not those of the model that config\.json"):
        checkpoint.skeleton(folder, "tiny")


@pytest.mark.parametrize("asked", ["int8", "fp4", "nf4"])
def test_another_quantisation_than_the_stored_one_is_refused(
    asked: str, stored: dict[str, Path]
) -> None:
    """What is recorded would not be what answers."""
    model = spec(stored["nf4"], quantization=asked)
    if asked == "nf4":
        prompts, answers = ours(model, alone=True)  # the same, in other words
        assert answers == theirs(exactly(stored["nf4"]), prompts)
        asked = "nf4' with double_quantization"
        model = spec(stored["nf4"], quantization="nf4", double_quantization=True)
    with pytest.raises(ModelError, match=f"quantization = '{asked}.* is quantised already .nf4"):
        loading.check_loadable(model, stored["nf4"])
    with pytest.raises(ModelError, match="is quantised already"):
        backends.load(model)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_quantisation_in_name_alone_is_refused(
    layout: str, stored: dict[str, Path], tmp_path: Path
) -> None:
    """Whole weights under a config.json that says otherwise: the table would name what is not."""
    folder = Path(shutil.copytree(stored["whole"], tmp_path / "whole"))
    config = json.loads((stored[layout] / "config.json").read_text())
    rewrite_config(folder, quantization_config=config["quantization_config"])
    with pytest.raises(ModelError, match="and no tensor is stored so"):
        checkpoint.skeleton(folder, "tiny")


def test_an_unknown_quantisation_is_refused_by_name(
    stored: dict[str, Path], tmp_path: Path
) -> None:
    """It would be skipped with a warning."""
    folder = Path(shutil.copytree(stored["whole"], tmp_path / "odd"))
    rewrite_config(folder, quantization_config={"quant_method": "ternary"})
    with pytest.raises(ModelError, match="is quantised as 'ternary'; expected one of bitsandbytes"):
        loading.check_loadable(spec(folder), folder)


def test_fp8_answers_in_the_precision_that_is_asked_for(stored: dict[str, Path]) -> None:
    """Its scales are float32, and layers of two precisions do not go together."""
    backend: Any = backends.load(spec(stored["fp8"], dtype="bfloat16"))
    assert {p.dtype for p in backend._model.parameters()} == {torch.bfloat16}
    _, answers = ours(spec(stored["fp8"], dtype="bfloat16"))
    assert all(answers)
