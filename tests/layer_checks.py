"""What tests of layers share: either data format, and PyTorch beside."""

from __future__ import annotations

import numpy as np

FORMATS = ("channels_last", "channels_first")


def last(x):
    """(N, C, spatial...) in memory as (N, spatial..., C)."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def assert_close(found, expected, dtype):
    tolerance = 1e-5 if np.dtype(dtype) == np.float32 else 1e-12
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def assert_same_as(function, make, x, dtype):
    """Values and gradients of a layer, in either data format, against those of torch.

    `make` takes the data format and dtype, `function` a tensor (N, C, spatial...); so is `x`.
    """
    import torch

    x = x.astype(dtype)
    given = torch.tensor(x, requires_grad=True)
    expected = function(given)
    dy = np.random.default_rng(7).standard_normal(expected.shape).astype(dtype)
    expected.backward(torch.tensor(dy))
    y, dx = expected.detach().numpy(), given.grad.numpy()
    for data_format in FORMATS:
        layer = make(data_format=data_format, dtype=dtype)
        turn = last if data_format == "channels_last" else np.ascontiguousarray
        assert_close(layer(turn(x)), turn(y), dtype)
        assert_close(layer.forward(turn(x), training=True), turn(y), dtype)
        assert_close(layer.backward(turn(dy)), turn(dx), dtype)
