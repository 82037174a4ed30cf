"""timm's models: as many parameters as timm itself lists for the published ones, in millions."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest

from ckpt_tools.families.expected import expected
from ckpt_tools.families.family import Expectation, Unknown
from ckpt_tools.families.family_file import load

PUBLISHED = {
    "resnet18": 11.69,
    "resnet50": 25.56,
    "resnet152": 60.19,
    "vgg16": 138.36,
    "densenet121": 7.98,
    "convnext_tiny": 28.59,
    "convnext_base": 88.59,
    "efficientnet_b0": 5.29,
    "mobilenetv3_large_100": 5.48,
    "swin_tiny_patch4_window7_224": 28.29,
    "vit_tiny_patch16_224": 5.72,
    "vit_base_patch16_224": 86.57,
}


def of(name: str, **arguments: Any) -> Expectation | Unknown:
    file = load("timm", name)
    assert file is not None
    config = {"architecture": name, "pretrained_cfg": {"input_size": [3, 224, 224]}}
    given = {"img_size": [224, 224]} if name.startswith("vit") else {}
    return expected(file, config | {"model_args": given | arguments})


@pytest.mark.parametrize(("name", "millions"), PUBLISHED.items())
def test_published_models_have_the_parameters_that_are_known(name: str, millions: float) -> None:
    found = of(name)
    assert isinstance(found, Expectation)
    parameters = sum(
        prod(one.shape or ())
        for tensor, one in found.tensors.items()
        if "running_" not in tensor and "num_batches" not in tensor
    )
    assert parameters / 1e6 == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize("name", PUBLISHED)
def test_classes_and_channels_are_those_of_the_config(name: str) -> None:
    found, none = of(name, num_classes=5, in_chans=1), of(name, num_classes=0)
    usual = of(name)
    assert isinstance(found, Expectation)
    assert isinstance(none, Expectation)
    assert isinstance(usual, Expectation)
    changed = [n for n, one in found.tensors.items() if one.shape != usual.tensors[n].shape]
    heads = usual.tensors.keys() - none.tensors.keys()
    assert len(heads) == 2
    assert len(changed) == 3
    assert heads <= set(changed)


def test_arguments_that_may_change_tensors_are_not_guessed() -> None:
    assert isinstance(of("vit_tiny_patch16_224", depth=3), Unknown)


def test_positions_of_an_unwritten_size_are_not_judged() -> None:
    file = load("timm", "vit_tiny_patch16_224")
    assert file is not None
    found = expected(file, {"architecture": "vit_tiny_patch16_224", "num_classes": 10})
    assert isinstance(found, Expectation)
    assert found.tensors["pos_embed"].shape is None
    assert found.tensors["head.weight"].shape == (10, 192)
