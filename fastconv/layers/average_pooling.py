"""Average pooling in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable

from fastconv import functional
from fastconv import grad as gradients
from fastconv.layers.pooling import Pooling
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array

__all__ = ["AveragePooling1D", "AveragePooling2D", "AveragePooling3D"]

_KERNELS: dict[int, tuple[Callable[..., Array], Callable[..., Array]]] = {
    1: (functional.avg_pool1d, gradients.avg_pool1d_backward),
    2: (functional.avg_pool2d, gradients.avg_pool2d_backward),
    3: (functional.avg_pool3d, gradients.avg_pool3d_backward),
}


class AveragePooling(Pooling):
    """What AveragePooling1D, 2D and 3D share; see `AveragePooling2D`."""

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the mean of each window."""
        self._split(x.shape)
        view = self._view(x)
        if training:
            self._save(view.shape, x.shape)
        return self._put(_KERNELS[self.rank][0](view, *self._window, count_include_pad=False))

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient of the input: each output's, shared out over its window."""
        size, shape = self._saved()
        if not need_input_grad:
            return None
        backward = _KERNELS[self.rank][1]
        out = self._room(grad, shape)
        dx = backward(self._view(grad), size, *self._window, count_include_pad=False, out=out)
        return self._put(dx)


@register_layer
class AveragePooling1D(AveragePooling):
    """Average pooling over one dimension: (N, length, C) to (N, out_length, C).

    The arguments are those of `AveragePooling2D`.

    Examples
    --------
    >>> AveragePooling1D()([[[1], [3], [2], [0]]])[0, :, 0]
    array([2., 1.], dtype=float32)
    """

    rank = 1


@register_layer
class AveragePooling2D(AveragePooling):
    """Average pooling over two dimensions: (N, H, W, C) to (N, OH, OW, C).

    y[n, oh, ow, c] = mean over i, j of x[n, oh * stride + i, ow * stride + j, c], over what of
    the window lies inside the input: padding is not counted, neither that of ``"same"`` nor an
    explicit one (in `fastconv.functional.avg_pool2d`, as in PyTorch, it is by default).

    The arguments are those of `MaxPooling2D`.

    Notes
    -----
    Source: Y. LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE
    86, 1998, where it is called subsampling.

    Examples
    --------
    >>> AveragePooling2D(3, 1, "same")(np.ones((1, 4, 4, 1))).min()
    np.float32(1.0)
    """

    rank = 2


@register_layer
class AveragePooling3D(AveragePooling):
    """Average pooling over three dimensions: (N, D, H, W, C) to (N, OD, OH, OW, C).

    The arguments are those of `AveragePooling2D`.

    Examples
    --------
    >>> AveragePooling3D((1, 2, 2)).compute_output_shape((None, 16, 8, 8, 4))
    (None, 16, 4, 4, 4)
    """

    rank = 3
