"""Layers against PyTorch's modules with the same weights, values and gradients."""

import numpy as np
import pytest

from fastconv import layers

torch = pytest.importorskip("torch")
nn = torch.nn
F = torch.nn.functional


def first(x):
    """Channels-last to channels-first."""
    return np.moveaxis(x, -1, 1)


def tensor(x):
    return torch.tensor(np.ascontiguousarray(x))


def compare(layer, module, x, dtype, channels_last=True):
    """Outputs, and the gradients of a random weighting of them."""
    tolerance = (
        {"rtol": 1e-5, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-10, "atol": 1e-10}
    )
    y = layer.forward(x, training=True)
    given = tensor(first(x) if channels_last else x).requires_grad_()
    expected = module(given)
    dy = np.random.default_rng(9).standard_normal(y.shape).astype(dtype)
    moved = channels_last and dy.ndim > 2
    expected.backward(tensor(first(dy) if moved else dy))
    want = expected.detach().numpy()
    np.testing.assert_allclose(first(y) if moved else y, want, **tolerance)
    dx = layer.backward(dy)
    np.testing.assert_allclose(first(dx) if channels_last else dx, given.grad.numpy(), **tolerance)
    return {name: p.grad for name, p in module.named_parameters()}


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def load(layer, module):
    """Give a module of torch the weights of a convolution layer."""
    module = module.to(torch.float64 if layer.dtype == np.float64 else torch.float32)
    with torch.no_grad():
        module.weight.copy_(tensor(layer.weight("kernel").array.reshape(module.weight.shape)))
        if layer.use_bias:
            module.bias.copy_(tensor(layer.weight("bias").array))
    return module


@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise(multiplier, dtype, rng):
    layer = layers.DepthwiseConv2D(3, 2, 1, multiplier, bias_initializer="ones", dtype=dtype)
    x = rng.standard_normal((2, 9, 8, 5)).astype(dtype)
    layer.build(x.shape)
    module = load(layer, nn.Conv2d(5, 5 * multiplier, 3, 2, 1, groups=5))
    grads = compare(layer, module, x, dtype)
    mine = layer.weight("kernel").grad.reshape(module.weight.shape)
    np.testing.assert_allclose(mine, grads["weight"].numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("stride", "padding", "extra", "dilation"),
    [(1, 0, 0, 1), (2, 1, 1, 1), (3, 1, 2, 2), ((2, 1), (1, 0), (1, 0), (1, 2))],
)
def test_transposed(stride, padding, extra, dilation, dtype, rng):
    layer = layers.Conv2DTranspose(
        4, 3, stride, padding, extra, dilation_rate=dilation, bias_initializer="ones", dtype=dtype
    )
    x = rng.standard_normal((2, 5, 6, 3)).astype(dtype)
    layer.build(x.shape)
    module = load(layer, nn.ConvTranspose2d(3, 4, 3, stride, padding, extra, dilation=dilation))
    grads = compare(layer, module, x, dtype)
    mine = layer.weight("kernel").grad
    np.testing.assert_allclose(mine, grads["weight"].numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_same_is_the_gradient_of_the_convolution_with_same(kernel, stride, rng):
    up = layers.Conv1DTranspose(2, kernel, stride, "same", use_bias=False, dtype="float64")
    down = layers.Conv1D(3, kernel, stride, "same", use_bias=False, dtype="float64")
    x = rng.standard_normal((2, 5, 3))
    up.build(x.shape)
    image = np.zeros((2, 5 * stride, 2))
    down.build(image.shape)
    down.weight("kernel").assign(up.weight("kernel").view)
    down.forward(image, training=True)
    np.testing.assert_allclose(up(x), down.backward(x))


@pytest.mark.parametrize(
    ("cls", "module"),
    [
        (lambda d: layers.LayerNormalization(dtype=d), lambda: nn.LayerNorm(6, eps=1e-3)),
        (
            lambda d: layers.LayerNormalization((1, 2, 3), dtype=d),
            lambda: nn.LayerNorm((5, 4, 6), 1e-3),
        ),
    ],
)
def test_layer_normalization(cls, module, dtype, rng):
    x = rng.standard_normal((3, 5, 4, 6)).astype(dtype)
    layer, other = cls(dtype), module().to(getattr(torch, dtype))
    layer.build(x.shape)
    grads = compare(layer, other, x, dtype, channels_last=False)
    for mine, theirs in (("gamma", "weight"), ("beta", "bias")):
        np.testing.assert_allclose(
            layer.weight(mine).grad, grads[theirs].numpy(), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_normalization(groups, dtype, rng):
    x = 3 + rng.standard_normal((3, 5, 4, 6)).astype(dtype)
    layer = layers.GroupNormalization(groups, dtype=dtype)
    layer.build(x.shape)
    compare(layer, nn.GroupNorm(groups, 6, 1e-3).to(getattr(torch, dtype)), x, dtype)


@pytest.mark.parametrize("size", [1, 3, 4, 5])
def test_local_response_normalization(size, dtype, rng):
    x = rng.standard_normal((3, 5, 4, 6)).astype(dtype)
    layer = layers.LocalResponseNormalization(size, 0.1, 0.6, 1.5, dtype=dtype)
    compare(layer, nn.LocalResponseNorm(size, 0.1 * size, 0.6, 1.5), x, dtype)


@pytest.mark.parametrize("shape", [(7,), (4, 5, 7), (3, 4, 5, 7)])
def test_batch_normalization(shape, dtype, rng):
    x = (rng.standard_normal((6, *shape)) * 2 + 3).astype(dtype)
    layer = layers.BatchNormalization(momentum=0.9, dtype=dtype)
    layer.build(x.shape)
    module = {1: nn.BatchNorm1d, 3: nn.BatchNorm2d, 4: nn.BatchNorm3d}[len(shape)](7, 1e-3, 0.1)
    module = module.to(getattr(torch, dtype))
    gamma, beta = rng.standard_normal((2, 7))
    with torch.no_grad():
        module.weight.copy_(tensor(gamma))
        module.bias.copy_(tensor(beta))
    layer.weight("gamma").assign(gamma)
    layer.weight("beta").assign(beta)
    for _ in range(2):
        layer.clear_gradients()
        module.zero_grad()
        grads = compare(layer, module, x, dtype)
        for mine, theirs in (("gamma", "weight"), ("beta", "bias")):
            np.testing.assert_allclose(
                layer.weight(mine).grad, grads[theirs].numpy(), rtol=1e-4, atol=1e-5
            )
    count = x.size // 7
    moving = layer.weight("moving_mean").array, layer.weight("moving_variance").array
    np.testing.assert_allclose(moving[0], module.running_mean.numpy(), rtol=1e-5)
    # PyTorch's variance is over one sample less.
    theirs = 0.81 + (module.running_var.numpy() - 0.81) * (count - 1) / count
    np.testing.assert_allclose(moving[1], theirs, rtol=1e-5)
    with torch.no_grad():
        module.running_var.copy_(tensor(moving[1]))
    module.eval()
    layer.trainable = False
    compare(layer, module, x, dtype)
    np.testing.assert_allclose(layer(x), layer.forward(x, training=True))


def test_activations(dtype, rng):
    x = np.concatenate([rng.standard_normal(40) * 4, [0.0, 3.0, -3.0, 30.0, -30.0]]).astype(dtype)
    functions = {
        "celu": F.celu,
        "elu": F.elu,
        "exponential": torch.exp,
        "gelu": F.gelu,
        "hard_sigmoid": F.hardsigmoid,
        "hard_silu": F.hardswish,
        "hard_swish": F.hardswish,
        "hard_tanh": F.hardtanh,
        "leaky_relu": lambda t: F.leaky_relu(t, 0.2),
        "log_sigmoid": F.logsigmoid,
        "log_softmax": lambda t: F.log_softmax(t, -1),
        "mish": F.mish,
        "relu6": F.relu6,
        "selu": F.selu,
        "sigmoid": torch.sigmoid,
        "silu": F.silu,
        "softplus": F.softplus,
        "softsign": F.softsign,
        "swish": F.silu,
        "tanh": torch.tanh,
    }
    x = x[:-2] if dtype == "float32" else x
    for name, function in functions.items():
        layer = layers.Activation(name, dtype=dtype)
        y = layer(x)
        expected = function(tensor(x)).numpy()
        np.testing.assert_allclose(y, expected, rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (2, 5)])
def test_bilinear_upsampling(size, dtype, rng):
    x = rng.standard_normal((2, 4, 3, 5)).astype(dtype)
    layer = layers.UpSampling2D(size, interpolation="bilinear", dtype=dtype)
    module = nn.Upsample(scale_factor=tuple(map(float, size)), mode="bilinear", align_corners=False)
    compare(layer, module, x, dtype)


@pytest.mark.parametrize(
    ("layer", "module"),
    [
        (layers.AdaptiveAveragePooling2D, nn.AdaptiveAvgPool2d),
        (layers.AdaptiveMaxPooling2D, nn.AdaptiveMaxPool2d),
    ],
)
def test_adaptive_pooling(layer, module, dtype, rng):
    x = rng.standard_normal((2, 7, 5, 3)).astype(dtype)
    compare(layer((3, 2), dtype=dtype), module((3, 2)), x, dtype)


def test_average_pooling(dtype, rng):
    x = rng.standard_normal((2, 7, 6, 3)).astype(dtype)
    module = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
    compare(layers.AveragePooling2D(3, 2, 1, dtype=dtype), module, x, dtype)


def test_prelu(dtype, rng):
    x = rng.standard_normal((2, 7, 6, 3)).astype(dtype)
    layer = layers.PReLU(shared_axes=(1, 2), dtype=dtype)
    layer.build(x.shape)
    layer.weight("alpha").assign([[[0.1, 0.2, 0.3]]])
    module = nn.PReLU(3).to(getattr(torch, dtype))
    with torch.no_grad():
        module.weight.copy_(torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
    grads = compare(layer, module, x, dtype)
    np.testing.assert_allclose(
        layer.weight("alpha").grad.ravel(), grads["weight"].numpy(), rtol=1e-4
    )
