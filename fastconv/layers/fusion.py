"""What a layer computes at inference, in terms that a prepared model can join with others.

`Layer.inference_form` returns one of these where it can. `fastconv.models.prepared` joins a
convolution or a dense product with the batch norm, the sum and the activation behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from fastconv.layers import windows
from fastconv.layers.nonlinearity import LINEAR, Nonlinearity
from fastconv.layers.types import Array

__all__ = ["ChannelAffine", "Convolution", "InferenceForm", "Pointwise", "Product", "Sum"]


@dataclass(frozen=True)
class Convolution:
    """activation(convolution with `weight` + `bias`); weight (out, in / groups, kernel...)."""

    weight: Array
    bias: Array | None
    stride: tuple[int, ...]
    padding: windows.Padding
    dilation: tuple[int, ...]
    groups: int
    data_format: str
    activation: Nonlinearity = LINEAR


@dataclass(frozen=True)
class Product:
    """activation(x weight^T + bias) over the last axis; weight (out, in)."""

    weight: Array
    bias: Array | None
    activation: Nonlinearity = LINEAR


@dataclass(frozen=True)
class ChannelAffine:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, one of each for an index of `axis`."""

    axis: int
    mean: Array
    variance: Array
    gamma: Array | None
    beta: Array | None
    epsilon: float


@dataclass(frozen=True)
class Pointwise:
    """activation(x), elementwise."""

    activation: Nonlinearity


@dataclass(frozen=True)
class Sum:
    """The sum of the inputs."""


InferenceForm: TypeAlias = Convolution | Product | ChannelAffine | Pointwise | Sum
