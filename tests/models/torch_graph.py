"""A model of ours computed by PyTorch on the same weights: the tests' reading of the layers."""

import numpy as np
import torch
from torch.nn import functional as F

from fastconv import layers
from fastconv.models import Sequential


def tensors(model):
    """The parameters by name, as PyTorch stores them."""
    return {
        name: torch.tensor(p.array, requires_grad=p.trainable)
        for name, p in model.named_parameters().items()
    }


def evaluate(model, x, weights, training=False):
    """Outputs for channels-last images, as a list of arrays of PyTorch; NCHW inside."""
    images = torch.tensor(np.ascontiguousarray(np.moveaxis(x, -1, 1)))
    if isinstance(model, Sequential):
        for layer in model.layers:
            images = apply(layer, [images], weights, training)
        return [images]
    values = {model.inputs[0]: images}
    for node in model.graph:
        if node.inputs:
            given = [values[value] for value in node.inputs]
            values[node.outputs[0]] = apply(node.layer, given, weights, training)
    return [values[value] for value in model.outputs]


def same(x, size, stride, dilation, value):
    """Pad as TensorFlow's "same"."""
    pads = []
    for extent, k, s, d in zip(x.shape[2:], size, stride, dilation, strict=True):
        total = max((-(-extent // s) - 1) * s + (k - 1) * d + 1 - extent, 0)
        pads = [total // 2, total - total // 2, *pads]
    return F.pad(x, pads, value=value)


def padded(layer, x, size, dilation=(1, 1), value=0.0):
    if layer.padding == "same":
        return same(x, size, layer.strides, dilation, value)
    if layer.padding == "valid":
        return x
    (top, bottom), (left, right) = layer.padding
    return F.pad(x, (left, right, top, bottom), value=value)


def activated(y, layer):
    name = layer.activation.name
    if name == "softmax":
        return torch.softmax(y, 1)
    return y if name == "linear" else getattr(torch, name)(y)


def apply(layer, given, weights, training):
    def weight(name):
        return weights[f"{layer.name}/{name}"]

    x = given[0]
    match layer:
        case layers.Conv2D():
            x = padded(layer, x, layer.kernel_size, layer.dilation_rate)
            bias = weight("bias") if layer.use_bias else None
            y = F.conv2d(
                x, weight("kernel"), bias, layer.strides, 0, layer.dilation_rate, layer.groups
            )
            return activated(y, layer)
        case layers.Dense():
            return activated(F.linear(x, weight("kernel"), weight("bias")), layer)
        case layers.MaxPooling2D():
            x = padded(layer, x, layer.pool_size, value=-torch.inf)
            return F.max_pool2d(x, layer.pool_size, layer.strides)
        case layers.AveragePooling2D():
            assert layer.padding == "valid"
            return F.avg_pool2d(x, layer.pool_size, layer.strides)
        case layers.GlobalAveragePooling2D():
            return x.mean((2, 3))
        case layers.LocalResponseNormalization():
            alpha = layer.alpha * layer.size
            return F.local_response_norm(x, layer.size, alpha, layer.beta, layer.k)
        case layers.BatchNormalization():
            moving = weight("moving_mean").clone(), weight("moving_variance").clone()
            return F.batch_norm(
                x, *moving, weight("gamma"), weight("beta"), training, 0.0, layer.epsilon
            )
        case layers.Flatten():
            return x.permute(0, 2, 3, 1).flatten(1)
        case layers.Activation():
            return activated(x, layer)
        case layers.Concatenate():
            return torch.cat(given, 1)
        case layers.Add():
            return sum(given)
        case layers.Dropout():
            return x
    raise AssertionError(f"{layer!r} has no counterpart here")
