"""Convolution of quantized tensors, and the two ways between them and real numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from fastconv import _core

if TYPE_CHECKING:
    import numpy.typing as npt

    from fastconv._typing import Array, ArrayLike, Padding, Quantized, Size

_QUANTIZED = (np.dtype(np.uint8), np.dtype(np.int8))


def qlinear_conv(
    input: ArrayLike,
    input_scale: ArrayLike,
    input_zero_point: ArrayLike | None,
    weight: ArrayLike,
    weight_scale: ArrayLike,
    weight_zero_point: ArrayLike | None,
    output_scale: ArrayLike,
    output_zero_point: ArrayLike | None,
    bias: ArrayLike | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    *,
    out: Quantized | None = None,
) -> Quantized:
    """Convolve quantized tensors: the operator QLinearConv of ONNX, in 1, 2 or 3 dimensions.

    An element q of a quantized tensor stands for ``scale * (q - zero_point)``.

    ``out[n, oc, o] = saturate(round(factor[oc] * (bias[oc] + sum over ic, k of
    (input[n, ic, o * stride - padding + k * dilation] - input_zero_point) *
    (weight[oc, ic, k] - weight_zero_point[oc]))) + output_zero_point)`` with
    ``factor[oc] = input_scale * weight_scale[oc] / output_scale``.

    Padding counts as the input's zero point. Sums are exact in 32 bits (and wrap around beyond,
    which takes more than 33 025 products). The factor is rounded to float32 after either of its
    operations, and so is its product with the sum, before it is rounded to an integer, ties to
    even. The result equals that of ONNX Runtime to the last bit, on every instruction set.

    Parameters
    ----------
    input : array of shape (N, IC, spatial...) or (IC, spatial...)
        uint8 or int8.
    weight : array of shape (OC, IC / groups, kernel...)
        uint8 or int8, whichever `input` has; its dimensions say how many are spatial.
    bias : array of shape (OC,), optional
        int32, in units of ``input_scale * weight_scale``.
    input_scale, output_scale : float or float32 array of one element
        Positive and finite.
    weight_scale : float, or float32 array of one element or of shape (OC,)
        One for all filters, or one each.
    input_zero_point, output_zero_point : int, array of one element, or None
        In the dtype of their tensors; None is 0. That of the output says what its dtype is:
        for an int or None that of `input`.
    weight_zero_point : int, array of one element or of shape (OC,), or None
        In the dtype of `weight`.
    stride, padding, dilation, groups
        As for `conv2d`.
    out : array of the shape of the output, optional
        Where to write the result; it must not overlap the operands.

    Returns
    -------
    array of shape (N, OC, out...) or (OC, out...)
        uint8 or int8, in the memory layout of `input`.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If a rank, a shape or a value does not fit the others; the text names the argument.

    References
    ----------
    B. Jacob et al., Quantization and training of neural networks for efficient
    integer-arithmetic-only inference, CVPR 2018; ONNX operators, QLinearConv.

    Examples
    --------
    >>> image = np.arange(9, dtype=np.uint8).reshape(1, 1, 3, 3)
    >>> filters = np.array([1, 2, -1, 1], np.int8).reshape(1, 1, 2, 2)
    >>> qlinear_conv(image, 0.5, 4, filters, 0.25, 0, 0.25, 100)[0, 0]
    array([[ 96,  97],
           [100, 102]], dtype=uint8)
    """
    return _core.qlinear_conv(
        input,
        _scale(input_scale),
        _zero_point(input_zero_point, input, "input"),
        weight,
        _scale(weight_scale),
        _zero_point(weight_zero_point, weight, "weight"),
        _scale(output_scale),
        _zero_point(output_zero_point, input if out is None else out, "output"),
        bias,
        stride,
        padding,
        dilation,
        groups,
        out,
    )


def quantize_linear(
    input: ArrayLike,
    scale: ArrayLike,
    zero_point: ArrayLike | None = None,
    axis: SupportsIndex = 1,
    *,
    dtype: npt.DTypeLike = np.uint8,
) -> Quantized:
    """Quantize real numbers: ``saturate(round(input / scale) + zero_point)``, ties to even.

    The operator QuantizeLinear of ONNX. NaN becomes the lowest value.

    Parameters
    ----------
    input : array
        Float32.
    scale : float, or float32 array of one element or of as many as `axis` has
        What a step of the quantized values stands for.
    zero_point : int, array of as many elements as `scale`, or None
        What stands for 0.
    axis : int
        Dimension along which the scales differ.
    dtype : dtype
        uint8 or int8, of the result if `zero_point` is no array of one of them.

    Returns
    -------
    array of the shape of `input`

    Raises
    ------
    TypeError, ValueError
        If a dtype, a shape or a value does not fit.

    References
    ----------
    ONNX operators, QuantizeLinear.

    Examples
    --------
    >>> x = np.array([[-1, 0, 0.25, 0.75, 200]], np.float32)
    >>> quantize_linear(x, 0.5, 10)
    array([[  8,  10,  10,  12, 255]], dtype=uint8)
    >>> quantize_linear(x, 0.5, dtype=np.int8)
    array([[ -2,   0,   0,   2, 127]], dtype=int8)
    """
    x = np.asarray(input)
    if x.dtype != np.float32:
        raise TypeError(f"input: expected float32, got {x.dtype}")
    if not isinstance(zero_point, np.ndarray):
        zero_point = _integers(0 if zero_point is None else zero_point, np.dtype(dtype), "")
    if zero_point.dtype not in _QUANTIZED:
        raise TypeError(f"zero_point: expected uint8 or int8, got {zero_point.dtype}")
    scales, zeros = _along(scale, zero_point, x, axis)
    limits = np.iinfo(zero_point.dtype)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        steps = np.rint(x / scales)
    steps = np.clip(steps, (limits.min - zeros), (limits.max - zeros))
    steps = np.where(np.isnan(steps), limits.min - zeros, steps)
    quantized: Quantized = (steps.astype(np.int32) + zeros).astype(zero_point.dtype)
    return quantized


def dequantize_linear(
    input: ArrayLike,
    scale: ArrayLike,
    zero_point: ArrayLike | None = None,
    axis: SupportsIndex = 1,
) -> Array:
    """Return the real numbers that quantized ones stand for: ``(input - zero_point) * scale``.

    The operator DequantizeLinear of ONNX.

    Parameters
    ----------
    input : array
        uint8, int8 or int32.
    scale, zero_point, axis
        As for `quantize_linear`.

    Returns
    -------
    array of the shape of `input`
        Float32.

    Raises
    ------
    TypeError, ValueError
        If a dtype, a shape or a value does not fit.

    References
    ----------
    ONNX operators, DequantizeLinear.

    Examples
    --------
    >>> dequantize_linear(np.array([[8, 10, 255]], np.uint8), 0.5, 10)
    array([[ -1. ,   0. , 122.5]], dtype=float32)
    """
    q = np.asarray(input)
    if q.dtype not in (*_QUANTIZED, np.int32):
        raise TypeError(f"input: expected uint8, int8 or int32, got {q.dtype}")
    if not isinstance(zero_point, np.ndarray):
        zero_point = _integers(0 if zero_point is None else zero_point, q.dtype, "")
    if zero_point.dtype != q.dtype:
        raise TypeError(
            f"zero_point: expected the dtype of input, {q.dtype}, got {zero_point.dtype}"
        )
    scales, zeros = _along(scale, zero_point, q, axis)
    real: Array = (q.astype(np.int32) - zeros).astype(np.float32) * scales
    return real


def _scale(value: ArrayLike) -> ArrayLike:
    """Numbers of Python's as float32; arrays as they are."""
    return np.array(value, np.float32) if isinstance(value, (int, float, list, tuple)) else value


def _zero_point(value: ArrayLike | None, tensor: ArrayLike, name: str) -> ArrayLike | None:
    """Integers of Python's in the dtype of their tensor; arrays as they are."""
    if not isinstance(value, (int, list, tuple)):
        return value
    dtype = np.asarray(tensor).dtype
    # The tensor itself is refused later, under its own name.
    return _integers(value, dtype, f"{name}_") if dtype in _QUANTIZED else None


def _integers(value: Any, dtype: np.dtype[Any], prefix: str) -> npt.NDArray[Any]:
    if dtype.kind not in "iu":
        raise TypeError(f"dtype: expected uint8 or int8, got {dtype}")
    integers = np.array(value)
    if integers.dtype.kind != "i":
        raise TypeError(f"{prefix}zero_point: expected integers, got {value!r}")
    limits = np.iinfo(dtype)
    if integers.size > 0 and (integers.min() < limits.min or integers.max() > limits.max):
        raise ValueError(f"{prefix}zero_point: {value!r} is out of the range of {dtype}")
    return integers.astype(dtype)


def _along(
    scale: ArrayLike, zero_point: npt.NDArray[Any], x: npt.NDArray[Any], axis: SupportsIndex
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Return scales and zero points in a shape that broadcasts along the axis of x."""
    scales = np.asarray(_scale(scale))
    if scales.dtype != np.float32:
        raise TypeError(f"scale: expected float32, got {scales.dtype}")
    found: list[npt.NDArray[Any]] = []
    for name, values in (("scale", scales), ("zero_point", zero_point.astype(np.int32))):
        if values.size != 1:
            place = axis.__index__()
            if not -x.ndim <= place < x.ndim:
                raise ValueError(f"axis: {place} is out of range for shape {x.shape}")
            if values.ndim != 1 or values.size != x.shape[place]:
                raise ValueError(
                    f"{name}: expected one element or {x.shape[place]}, as dimension "
                    f"{place} has, got shape {values.shape}"
                )
            values = values.reshape([-1 if i == place % x.ndim else 1 for i in range(x.ndim)])
        else:
            values = values.reshape(())
        found.append(values)
    return found[0], found[1]
