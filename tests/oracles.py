"""Naive NumPy implementations in float64, written from the equations alone.

They share nothing with the library: no im2col, no blocking, one loop over the positions of
the window, and padding that is really there. Windows are given as (before, after) pairs.
"""

from __future__ import annotations

import numpy as np


def _taps(kernel, out, stride, dilation):
    """Each position of the window, with the slice of the padded input that it sees."""
    for tap in np.ndindex(*kernel):
        yield (
            tap,
            (
                ...,
                *(
                    slice(t * d, t * d + (o - 1) * s + 1, s)
                    for t, o, s, d in zip(tap, out, stride, dilation, strict=True)
                ),
            ),
        )


def _padded(x, pads, value=0.0):
    return np.pad(x.astype(np.float64), ((0, 0), (0, 0), *pads), constant_values=value)


def _out(spatial, kernel, stride, pads, dilation):
    return tuple(
        (i + sum(p) - d * (k - 1) - 1) // s + 1
        for i, k, s, p, d in zip(spatial, kernel, stride, pads, dilation, strict=True)
    )


def _inner(padded, pads):
    return padded[
        (..., *(slice(b, n - a) for (b, a), n in zip(pads, padded.shape[2:], strict=True)))
    ]


def conv(x, weight, stride, pads, dilation, groups):
    """(N, IC, spatial), (OC, IC / groups, kernel) to (N, OC, out)."""
    kernel = weight.shape[2:]
    out = _out(x.shape[2:], kernel, stride, pads, dilation)
    padded = _padded(x, pads)
    padded = padded.reshape(x.shape[0], groups, x.shape[1] // groups, *padded.shape[2:])
    w = weight.astype(np.float64).reshape(groups, -1, *weight.shape[1:])
    y = np.zeros((x.shape[0], groups, w.shape[1], *out))
    for tap, seen in _taps(kernel, out, stride, dilation):
        y += np.einsum("ngi...,goi->ngo...", padded[seen], w[(..., *tap)])
    return y.reshape(x.shape[0], weight.shape[0], *out)


def conv_input(dy, weight, spatial, stride, pads, dilation, groups):
    """(N, OC, out) to (N, IC, spatial)."""
    n, per_group = dy.shape[0], weight.shape[1]
    dx = _padded(np.zeros((n, groups * per_group, *spatial)), pads)
    shape = dx.shape
    dx = dx.reshape(n, groups, per_group, *shape[2:])
    w = weight.astype(np.float64).reshape(groups, -1, *weight.shape[1:])
    g = dy.astype(np.float64).reshape(n, groups, w.shape[1], *dy.shape[2:])
    for tap, seen in _taps(weight.shape[2:], dy.shape[2:], stride, dilation):
        dx[seen] += np.einsum("ngo...,goi->ngi...", g, w[(..., *tap)])
    return _inner(dx.reshape(shape), pads)


def conv_weight(x, dy, kernel, stride, pads, dilation, groups):
    """(N, IC, spatial), (N, OC, out) to (OC, IC / groups, kernel)."""
    n, ic, oc = x.shape[0], x.shape[1], dy.shape[1]
    padded = _padded(x, pads)
    padded = padded.reshape(n, groups, ic // groups, *padded.shape[2:])
    g = dy.astype(np.float64).reshape(n, groups, oc // groups, *dy.shape[2:])
    dw = np.zeros((groups, oc // groups, ic // groups, *kernel))
    letters = "xyz"[: len(kernel)]
    for tap, seen in _taps(kernel, dy.shape[2:], stride, dilation):
        dw[(..., *tap)] = np.einsum(f"ngo{letters},ngi{letters}->goi", g, padded[seen])
    return dw.reshape(oc, ic // groups, *kernel)


def pool_out(spatial, kernel, stride, pads, dilation, ceil_mode):
    """Output extents; the ceiling keeps a last window that begins before the end of the image."""
    out = []
    for i, k, s, (before, after), d in zip(spatial, kernel, stride, pads, dilation, strict=True):
        room = i + before + after - d * (k - 1) - 1
        size = room // s + 1
        if ceil_mode and room % s != 0 and size * s < i + before:
            size += 1
        out.append(size)
    return tuple(out)


def max_pool(x, kernel, stride, pads, dilation, ceil_mode=False):
    """Values and flat positions: NaN wins, and on ties the first in row-major order."""
    spatial = x.shape[2:]
    out = pool_out(spatial, kernel, stride, pads, dilation, ceil_mode)
    reach = [
        max((o - 1) * s + d * (k - 1) + 1 - i - b, a)
        for i, o, k, s, (b, a), d in zip(spatial, out, kernel, stride, pads, dilation, strict=True)
    ]
    wide = tuple((b, a) for (b, _), a in zip(pads, reach, strict=True))
    positions = np.arange(np.prod(spatial)).reshape(1, 1, *spatial)
    padded = _padded(x, wide, -np.inf)
    inside = _padded(np.ones((1, 1, *spatial)), wide) > 0
    positions = np.pad(positions, ((0, 0), (0, 0), *wide), constant_values=-1)
    best = np.full((*x.shape[:2], *out), -np.inf)
    at = np.full((*x.shape[:2], *out), -1, np.int64)
    for _, seen in _taps(kernel, out, stride, dilation):
        value = padded[seen]
        better = (value > best) | (np.isnan(value) & ~np.isnan(best)) | ((at < 0) & inside[seen])
        best = np.where(better, value, best)
        at = np.where(better, positions[seen], at)
    return best, at


def max_pool_backward(dy, at, shape):
    """Sum each gradient into the position that its maximum came from."""
    dx = np.zeros((shape[0], shape[1], int(np.prod(shape[2:]))))
    for n, c in np.ndindex(*shape[:2]):
        np.add.at(dx[n, c], at[n, c].ravel(), dy[n, c].ravel().astype(np.float64))
    return dx.reshape(shape)


def argmax_of(at, spatial, kernel, stride, pads, dilation):
    """Positions in the window from those in the plane; 255 where the window cannot see them."""
    out = at.shape[2:]
    position = np.unravel_index(np.maximum(at, 0), spatial)
    flat, seen = np.zeros(at.shape, np.int64), at >= 0
    for axis, (k, s, (before, _), d) in enumerate(zip(kernel, stride, pads, dilation, strict=True)):
        start = np.arange(out[axis]).reshape([-1 if i == axis else 1 for i in range(len(out))])
        tap = position[axis] - (start * s - before)
        seen &= (tap >= 0) & (tap % d == 0) & (tap // d < k)
        flat = flat * k + tap // d
    return np.where(seen, flat, 255).astype(np.uint8)


def _average_weights(spatial, kernel, stride, pads, ceil_mode, include, override):
    """One matrix (in, out) a dimension: what each input counts in each output, undivided.

    And the divisors, an array of the output's shape.
    """
    ones = (1,) * len(spatial)
    out = pool_out(spatial, kernel, stride, pads, ones, ceil_mode)
    weights, counts = [], []
    for i, o, k, s, (before, after) in zip(spatial, out, kernel, stride, pads, strict=True):
        start = np.arange(o) * s - before
        inside = (np.arange(i)[:, None] >= start) & (np.arange(i)[:, None] < start + k)
        weights.append(inside.astype(np.float64))
        counted = np.minimum(start + k, i + after) - start
        counts.append(counted if include else inside.sum(0))
    divisor = np.ones(())
    for count in counts:
        divisor = np.multiply.outer(divisor, count)
    return weights, np.full(divisor.shape, override) if override else divisor


def _along(x, matrices):
    for axis, matrix in enumerate(matrices):
        x = np.moveaxis(np.moveaxis(x, axis + 2, -1) @ matrix, -1, axis + 2)
    return x


def avg_pool(x, kernel, stride, pads, ceil_mode, include, override):
    """Sums of windows, as one matrix a dimension, divided."""
    weights, divisor = _average_weights(
        x.shape[2:], kernel, stride, pads, ceil_mode, include, override
    )
    return _along(x.astype(np.float64), weights) / divisor


def avg_pool_backward(dy, shape, kernel, stride, pads, ceil_mode, include, override):
    """The transposed matrices."""
    weights, divisor = _average_weights(
        shape[2:], kernel, stride, pads, ceil_mode, include, override
    )
    return _along(dy.astype(np.float64) / divisor, [w.T for w in weights])


def _adaptive_weights(spatial, size):
    weights = []
    for i, o in zip(spatial, size, strict=True):
        begin, end = np.arange(o) * i // o, -(-(np.arange(o) + 1) * i // o)
        inside = (np.arange(i)[:, None] >= begin) & (np.arange(i)[:, None] < end)
        weights.append(inside / inside.sum(0))
    return weights


def adaptive_avg_pool(x, size):
    """Means over [floor(o * in / out), ceil((o + 1) * in / out))."""
    return _along(x.astype(np.float64), _adaptive_weights(x.shape[2:], size))


def adaptive_avg_pool_backward(dy, shape):
    """The transposed matrices."""
    weights = _adaptive_weights(shape[2:], dy.shape[2:])
    return _along(dy.astype(np.float64), [w.T for w in weights])


def adaptive_max_pool(x, size):
    """Values and flat positions, output by output; no NaN."""
    spatial = x.shape[2:]
    values = np.empty((*x.shape[:2], *size))
    at = np.empty(values.shape, np.int64)
    for o in np.ndindex(*size):
        window = tuple(
            slice(k * i // n, -(-(k + 1) * i // n))
            for k, i, n in zip(o, spatial, size, strict=True)
        )
        seen = np.full(x.shape, -np.inf)
        seen[(..., *window)] = x[(..., *window)]
        flat = seen.reshape(*x.shape[:2], int(np.prod(spatial)))
        at[(..., *o)] = flat.argmax(-1)
        values[(..., *o)] = flat.max(-1)
    return values, at


def max_unpool(x, at, shape):
    """Put values where the positions say, the last one on repeats."""
    y = np.zeros((shape[0], shape[1], int(np.prod(shape[2:]))), x.dtype)
    for n, c in np.ndindex(*shape[:2]):
        for value, position in zip(x[n, c].ravel(), at[n, c].ravel(), strict=True):
            y[n, c, position] = value
    return y.reshape(shape)


def im2col(x, kernel, stride, pads, dilation):
    """(N, C, spatial) to (N, C * prod(kernel), prod(out))."""
    out = _out(x.shape[2:], kernel, stride, pads, dilation)
    cols = np.zeros((*x.shape[:2], *kernel, *out), x.dtype)
    padded = np.pad(x, ((0, 0), (0, 0), *pads))
    for tap, seen in _taps(kernel, out, stride, dilation):
        cols[(slice(None), slice(None), *tap)] = padded[seen]
    return cols.reshape(x.shape[0], x.shape[1] * int(np.prod(kernel)), int(np.prod(out)))


def col2im(cols, channels, spatial, kernel, stride, pads, dilation):
    """The transpose of `im2col`."""
    out = _out(spatial, kernel, stride, pads, dilation)
    cols = cols.astype(np.float64).reshape(cols.shape[0], channels, *kernel, *out)
    x = _padded(np.zeros((cols.shape[0], channels, *spatial)), pads)
    for tap, seen in _taps(kernel, out, stride, dilation):
        x[seen] += cols[(slice(None), slice(None), *tap)]
    return _inner(x, pads)


def log_softmax(x, axis):
    """Logarithm of the softmax along an axis."""
    x = x.astype(np.float64)
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def smoothed(target, classes, smoothing, ignore_index):
    """Targets as distributions over axis 1; ignored ones are all zero."""
    q = np.zeros((target.shape[0], classes, *target.shape[1:]))
    for where in np.ndindex(*target.shape):
        if target[where] != ignore_index:
            q[(where[0], slice(None), *where[1:])] = smoothing / classes
            q[(where[0], target[where], *where[1:])] += 1 - smoothing
    return q


def cross_entropy(x, target, smoothing=0.0, ignore_index=-100):
    """The loss of every sample."""
    q = smoothed(target, x.shape[1], smoothing, ignore_index)
    return -(q * log_softmax(x, 1)).sum(axis=1)


def cross_entropy_backward(x, target, dloss, smoothing=0.0, ignore_index=-100):
    """Gradient with respect to the logits."""
    q = smoothed(target, x.shape[1], smoothing, ignore_index)
    counts = q.sum(axis=1, keepdims=True)  # 0 for what is ignored, else 1
    return (np.exp(log_softmax(x, 1)) * counts - q) * np.expand_dims(dloss, 1)
