"""PyTorch: contiguous as it comes; tuned, every memory format.

Used by every command: ``python -m benchmarks --peers torch``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..problems import Layer, Operands, picked_by
from . import Contender

NAME = "torch"


def version() -> str:
    """Return the installed version."""
    import torch

    return str(torch.__version__)


def setup(threads: int) -> None:
    """Fix the thread count; nothing here needs autograd, the gradients are called by name."""
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)


def contenders(layer: Layer, operands: Operands, computation: str, tuned: bool) -> list[Contender]:
    """Return the plain call, and where tuned the same with the channels innermost."""
    import torch

    tensors = [torch.from_numpy(a).clone() for a in vars(operands).values()]
    found = [_contender(layer, operands, computation, "contiguous", tensors)]
    if tuned:
        found.append(_channels_last(layer, operands, computation, tensors))
    return found


def _channels_last(
    layer: Layer, operands: Operands, computation: str, tensors: list[Any]
) -> Contender:
    import torch

    if layer.ndim == 1:  # PyTorch has no such format for 3-D tensors: an image of height 1
        flat = layer
        layer = Layer(
            layer.name,
            layer.kind,
            layer.n,
            layer.ic,
            (1, *layer.spatial),
            layer.oc,
            (1, *layer.kernel),
            (1, *layer.stride),
            (0, *layer.padding),
            layer.groups,
        )
        tensors = [t.unsqueeze(2) if t.ndim == 3 else t for t in tensors]
    else:
        flat = None
    form = torch.channels_last_3d if layer.ndim == 3 else torch.channels_last
    tensors = [t.contiguous(memory_format=form) if t.ndim > 2 else t for t in tensors]
    made = _contender(layer, operands, computation, "channels_last", tensors)
    if flat is None:
        return made
    return Contender(made.peer, made.variant, made.call, lambda out: made.result(out).squeeze(2))


def _contender(
    layer: Layer, operands: Operands, computation: str, variant: str, tensors: list[Any]
) -> Contender:
    import torch

    x, weight, grad = tensors
    window = (list(layer.stride), list(layer.padding), [1] * layer.ndim)
    if layer.kind == "conv":
        zeros = [0] * layer.ndim
        if computation == "forward":
            function = torch.ops.aten.convolution.default
            arguments: tuple[Any, ...] = (x, weight, None, *window, False, zeros, layer.groups)
        else:
            function = torch.ops.aten.convolution_backward.default
            mask = [computation == "backward_input", computation == "backward_weight", False]
            arguments = (grad, x, weight, None, *window, False, zeros, layer.groups, mask)
        pick = {"forward": None, "backward_input": 0, "backward_weight": 1}[computation]

        def result(out: Any) -> np.ndarray:
            return (out if pick is None else out[pick]).numpy()

        return Contender(NAME, variant, lambda: function(*arguments), result)

    assert layer.ndim == 2
    with_indices = torch.ops.aten.max_pool2d_with_indices.default
    options = (list(layer.kernel), *window, False)
    if computation == "backward":
        backward = torch.ops.aten.max_pool2d_with_indices_backward.default
        indices = with_indices(x, *options)[1]
        return Contender(
            NAME,
            variant,
            lambda: backward(grad, x, *options, indices),
            lambda out: out.numpy(),
        )
    if computation == "forward_indices":
        return Contender(
            NAME,
            variant,
            lambda: with_indices(x, *options),
            lambda out: picked_by(out[1].numpy(), layer, operands),
        )
    return Contender(
        NAME,
        variant,
        lambda: torch.max_pool2d(x, *options),
        lambda out: out.numpy(),
    )


def reference(layer: Layer, operands: Operands, computation: str) -> np.ndarray:
    """Compute the result in float64."""
    import torch

    tensors = [torch.from_numpy(a).double() for a in vars(operands).values()]
    made = _contender(layer, operands, computation, "float64", tensors)
    with torch.no_grad():
        return made.result(made.call())
