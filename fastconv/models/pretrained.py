"""Weights from elsewhere: safetensors files with the names of torchvision and timm.

A network of ours finds its parameters in such a file by name, whatever order they are in:

=============  ==========================================  ===============================
network        torchvision                                 timm
=============  ==========================================  ===============================
VGG            features.N, classifier.0, .3, .6            features.N, pre_logits.fc1, .fc2,
                                                           head.fc
ResNet         conv1, bn1, layerS.B.convN, .bnN,           the same
               .downsample.0, .downsample.1, fc
=============  ==========================================  ===============================

Filters and dense matrices lie there as they do here, (out, in, kernel...) and (out, in), but for
the dense layer behind a `Flatten`: its columns follow (C, H, W) there and (H, W, C) here.

Those networks expect images in [0, 1], from which mean and standard deviation of ImageNet were
taken: see `IMAGENET_MEAN` and `IMAGENET_STD`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastconv.layers import BatchNormalization, Conv2D, Dense, Flatten, Layer
from fastconv.layers.types import Array
from fastconv.models.model import Model
from fastconv.utils import import_extra

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "load_pretrained"]

#: Of the three channels, red first.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

#: Parameters of a layer: ours, and theirs.
_SUFFIXES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def load_pretrained(
    model: Model,
    path: str | os.PathLike[str],
    names: Mapping[str, str] | None = None,
    skip_mismatched: bool = False,
) -> list[str]:
    """Fill a network with the weights of a safetensors file of torchvision's or timm's names.

    Parameters
    ----------
    model : Model
        One of `fastconv.models.vgg` or `resnet`; or any other with `names`.
    path : path-like
        The file.
    names : mapping of str to str, optional
        For each layer with parameters what the file calls it, ``{"conv1": "features.0"}``.
    skip_mismatched : bool
        Whether a layer whose shapes differ, such as the last one for another number of classes,
        keeps its weights instead of raising.

    Returns
    -------
    list of str
        The layers that kept their weights.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        If the file is damaged, lacks a layer, or has one of another shape; nothing is changed.
    """
    tensors = _read(path)
    found: list[tuple[Any, Array]] = []
    kept = []
    columns = _columns(model)
    for layer, candidates in _candidates(model, names):
        theirs = next((c for c in candidates if f"{c}.weight" in tensors), None)
        if theirs is None:
            raise ValueError(
                f"{os.fspath(path)}: has nothing for layer {layer.name!r}, looked for "
                f"{', '.join(f'{c}.weight' for c in candidates) or 'no name'}"
            )
        pairs = []
        for name, parameter in layer.named_parameters().items():
            key = f"{theirs}.{_SUFFIXES[name]}"
            if key not in tensors:
                raise ValueError(f"{os.fspath(path)}: has no {key}, of layer {layer.name!r}")
            value = tensors[key]
            if isinstance(layer, Dense) and name == "kernel":
                value = _reordered(value.reshape(len(value), -1), columns.get(layer))
            pairs.append((parameter, value, key))
        odd = [(key, v.shape, p.array.shape) for p, v, key in pairs if v.shape != p.array.shape]
        if odd and skip_mismatched:
            kept.append(layer.name)
            continue
        if odd:
            key, got, expected = odd[0]
            raise ValueError(f"{os.fspath(path)}: {key} has shape {got}, expected {expected}")
        found += [(parameter, value) for parameter, value, _ in pairs]
    for parameter, value in found:
        parameter.value = value
    return kept


def _read(path: str | os.PathLike[str]) -> dict[str, Array]:
    safetensors = import_extra("safetensors", "loading weights")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{os.fspath(path)}: expected a safetensors file")
    try:
        with safetensors.safe_open(os.fspath(path), framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, ValueError, TypeError) as error:
        raise ValueError(
            f"{os.fspath(path)}: not a safetensors file, or damaged, or cut off ({error})"
        ) from error


def _candidates(model: Model, names: Mapping[str, str] | None) -> Iterator[tuple[Layer, list[str]]]:
    """Yield each layer with parameters, and what files may call it."""
    layers = [layer for layer in model.layers if layer.named_parameters()]
    if names is not None:
        for layer in layers:
            yield layer, [names[layer.name]] if layer.name in names else []
        return
    position = 0
    for layer in model.layers:
        if layer.name.startswith("conv") and "_" in layer.name and isinstance(layer, Conv2D):
            yield layer, [f"features.{position}"]
            position += 2  # the convolution, and a rectifier, which is a module there
        elif layer.name.startswith("pool"):
            position += 1
        elif layer in layers:
            yield layer, _names_of(layer.name)


#: The dense layers of VGG.
_HEAD = {
    "fc6": ["classifier.0", "pre_logits.fc1"],
    "fc7": ["classifier.3", "pre_logits.fc2"],
    "fc8": ["classifier.6", "head.fc"],
}


def _names_of(name: str) -> list[str]:
    """Return what files may call a layer of a ResNet, or a dense one of a VGG.

    Examples
    --------
    >>> _names_of("layer4_1_bn2"), _names_of("layer2_0_downsample_bn"), _names_of("fc6")
    (['layer4.1.bn2'], ['layer2.0.downsample.1'], ['classifier.0', 'pre_logits.fc1'])
    """
    if name in _HEAD:
        return _HEAD[name]
    block = re.fullmatch(r"(layer\d)_(\d+)_(\w+)", name)
    if block is None:
        return [name]
    stage, number, part = block.groups()
    part = {"downsample": "downsample.0", "downsample_bn": "downsample.1"}.get(part, part)
    return [f"{stage}.{number}.{part}"]


def _columns(model: Model) -> dict[Layer, tuple[int, ...]]:
    """Return the dense layers behind a flattened image, with its shape (H, W, C)."""
    found: dict[Layer, tuple[int, ...]] = {}
    shape: tuple[int, ...] | None = None
    for layer, input_shape in model.layer_shapes():
        if isinstance(layer, Flatten) and len(input_shape) == 4:
            shape = tuple(extent or 0 for extent in input_shape[1:])
        elif isinstance(layer, Dense):
            if shape is not None:
                found[layer] = shape
            shape = None
        elif isinstance(layer, Conv2D | BatchNormalization):
            shape = None
    return found


def _reordered(matrix: Array, shape: tuple[int, ...] | None) -> Array:
    """Move columns from (C, H, W) to (H, W, C)."""
    if shape is None or np.prod(shape) != matrix.shape[1]:
        return matrix
    height, width, channels = shape
    moved = matrix.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    return moved.reshape(matrix.shape)
