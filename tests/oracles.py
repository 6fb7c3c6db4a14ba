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
