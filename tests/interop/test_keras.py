"""Layers against Keras' of the same name, arguments and weights: values and gradients.

Keras on JAX, whose convolutions follow TensorFlow's rules of padding where PyTorch has none.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from layer_cases import CASES, label

from fastconv import constraints, initializers, layers, regularizers, utils

jax = pytest.importorskip("jax")
os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # compiles in two thirds of the time
keras = pytest.importorskip("keras")

#: Where Keras means something else: it has no default for the window of an average, takes the
#: softmax of a convolution over the last axis even where that is not the channels, keeps gamma of
#: axes (1, -1) in their sorted order, (-1, 1), and its InputLayer computes
#: nothing. Its Cropping1D knows one data format and takes no argument for it (see
#: `test_at_inference`).
UNLIKE = [
    ("AveragePooling2D", "pool_size", None),
    ("Conv2D", "activation", "softmax"),
    ("LayerNormalization", "axis", [1, -1]),
    ("InputLayer", "shape", (3, 4)),
    ("Cropping1D", "data_format", "channels_first"),
    ("Cropping1D", "data_format", "channels_last"),
]


def comparable(cls, options):
    """Whether Keras has this layer with these arguments."""
    return (
        hasattr(keras.layers, cls.__name__)
        and options.get("padding", "valid") in ("valid", "same", "causal")
        and not any(cls.__name__ == c and options.get(n) == v for c, n, v in UNLIKE)
    )


THEIRS = [case for case in CASES if comparable(case[0], case[2])]


def compare(layer, other, x, tolerance=1e-5):
    """Values, the gradient of the input and those of the weights, under Keras' names."""
    layer.build(x.shape)
    other.build(x.shape)
    rng = np.random.default_rng(1)
    weights = [w + 0.3 * rng.standard_normal(w.shape).astype("f4") for w in layer.get_weights()]
    assert [w.shape for w in weights] == [tuple(w.shape) for w in other.weights]
    layer.set_weights(weights)
    other.set_weights(weights)
    y = layer.forward(x, training=True)
    dy = rng.standard_normal(y.shape).astype("float32")

    @jax.jit
    def theirs(trainable, fixed, x, dy):
        def call(trainable, x):
            return other.stateless_call(trainable, fixed, x)[0]

        y, pull = jax.vjp(call, trainable, x)
        return y, *pull(dy)

    trainable = [v.value for v in other.trainable_variables]
    fixed = [v.value for v in other.non_trainable_variables]
    expected, dweights, dx = theirs(trainable, fixed, x, dy)
    close(y, expected, tolerance)
    close(layer.backward(dy), dx, tolerance)
    trained = [p for p in layer.parameters if p.trainable]
    for mine, gradient in zip(trained, dweights, strict=True):
        mine.value = mine.grad  # to read it in Keras' order
        close(mine.view, gradient, tolerance)


def close(found, expected, tolerance):
    expected = np.asarray(expected)
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale)


def input_of(shape):
    """Distinct values, so that no pool has two largest."""
    count = int(np.prod(shape))
    values = np.random.default_rng(0).permutation(count).astype("float32")
    return ((values + 0.5) * 2 / count - 1).reshape(shape)


@pytest.mark.parametrize("case", THEIRS, ids=label)
def test_layers(case):
    cls, shape, options = case
    other = getattr(keras.layers, cls.__name__)(**options)
    compare(cls(**options), other, input_of((2, *shape)))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
def test_transposed_convolution(kernel, stride, padding):
    x = input_of((2, 5, 3))
    for extra in (None, *range(stride)):
        for dilation in (1, 2, 3) if stride == 1 else (1,):
            options = {"filters": 2, "kernel_size": kernel, "strides": stride}
            options |= {"padding": padding, "output_padding": extra, "dilation_rate": dilation}
            try:
                other = keras.layers.Conv1DTranspose(**options)
                compare(layers.Conv1DTranspose(**options), other, x)
            except AssertionError as error:
                raise AssertionError(f"output_padding {extra}, dilation {dilation}") from error


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("trainable", [True, False])
def test_batch_normalization(axis, trainable):
    options = {"axis": axis, "momentum": 0.9, "epsilon": 0.01, "trainable": trainable}
    x = 3 * input_of((4, 3, 5, 2)) + 1
    mine, other = layers.BatchNormalization(**options), keras.layers.BatchNormalization(**options)
    mine.build(x.shape)
    other.build(x.shape)
    weights = [np.abs(w + input_of(w.shape)) for w in mine.get_weights()]
    mine.set_weights(weights)
    other.set_weights(weights)
    for _ in range(3):
        close(mine.forward(x, training=True), other(jax.numpy.asarray(x), training=True), 1e-5)
    for ours, theirs in zip(mine.get_weights(), other.weights, strict=True):
        close(ours, theirs.value, 1e-5)
    close(mine(x), other(jax.numpy.asarray(x)), 1e-5)


@pytest.mark.parametrize(
    "name", ["Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"]
)
def test_merging(name):
    x = [input_of((2, 3, 4)), np.flip(input_of((2, 3, 4)), 0).copy()]
    mine, other = getattr(layers, name)(), getattr(keras.layers, name)()
    expected, pull = jax.vjp(lambda *given: other(list(given)), *x)
    y = mine.forward(x, training=True)
    close(y, expected, 1e-6)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype("float32")
    for dx, theirs in zip(mine.backward(dy), pull(dy), strict=True):
        close(dx, theirs, 1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Cropping1D", {"cropping": (2, 1)}),
        ("Rescaling", {"scale": 1 / 127.5, "offset": -1.0}),
        ("Normalization", {"mean": [1.0, 2.0, 3.0], "variance": [4.0, 5.0, 6.0]}),
        ("CenterCrop", {"height": 3, "width": 2}),
        ("CenterCrop", {"height": 9, "width": 4}),
        ("Dropout", {"rate": 0.3}),
        ("SpatialDropout2D", {"rate": 0.3}),
        ("GaussianNoise", {"stddev": 0.3}),
        ("GaussianDropout", {"rate": 0.3}),
        ("AlphaDropout", {"rate": 0.3}),
        ("RandomContrast", {"factor": 0.3}),
        ("RandomFlip", {}),
        ("RandomRotation", {"factor": 0.3}),
        ("RandomTranslation", {"height_factor": 0.3, "width_factor": 0.3}),
        ("RandomZoom", {"height_factor": 0.3}),
        ("RandomBrightness", {"factor": 0.3, "value_range": (0, 1)}),
    ],
)
def test_at_inference(name, options):
    x = input_of((2, 6, 3) if name == "Cropping1D" else (2, 6, 5, 3))
    mine, other = getattr(layers, name)(**options), getattr(keras.layers, name)(**options)
    close(mine(x), other(x, training=False), 1e-5)


#: Draws are not Keras'; mean, spread and limits are.
DRAWN = ["he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal"]
DRAWN += ["lecun_uniform", "random_normal", "random_uniform", "truncated_normal", "orthogonal"]
DRAWN += ["variance_scaling", "normal", "uniform", "HeNormal"]


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("shape", [(3, 3, 120, 160), (600, 400)])  # 0.02 is five standard errors
def test_distributions(name, shape):
    utils.set_random_seed(0)
    keras.utils.set_random_seed(0)
    mine, theirs = initializers.get(name)(shape), np.asarray(keras.initializers.get(name)(shape))
    assert abs(mine.mean() - theirs.mean()) < 0.02 * theirs.std()
    assert mine.std() == pytest.approx(theirs.std(), rel=0.02)
    if name not in ("random_normal", "normal", "orthogonal"):
        assert np.abs(mine).max() == pytest.approx(np.abs(theirs).max(), rel=0.15)


@pytest.mark.parametrize("name", ["zeros", "zero", "ones", "one", "identity"])
def test_fixed_first_values(name):
    expected = np.asarray(keras.initializers.get(name)((3, 4)))
    np.testing.assert_array_equal(initializers.get(name)((3, 4)), expected)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("L1", {"l1": 0.3}),
        ("L2", {"l2": 0.3}),
        ("L1L2", {"l1": 0.2, "l2": 0.3}),
        ("OrthogonalRegularizer", {"factor": 0.3}),
        ("OrthogonalRegularizer", {"factor": 0.3, "mode": "columns"}),
    ],
)
def test_regularizers(name, options):
    w = np.random.default_rng(0).standard_normal((4, 5)).astype("float32")
    other = getattr(keras.regularizers, name)(**options)
    expected, gradient = jax.value_and_grad(other)(w)
    value, mine = getattr(regularizers, name)(**options).value_and_grad(w)
    assert value == pytest.approx(float(expected), rel=1e-5)
    close(mine, gradient, 1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MaxNorm", {"max_value": 1.5}),
        ("MaxNorm", {"max_value": 1.5, "axis": [0, 1, 2]}),
        ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.5, "rate": 0.7, "axis": 1}),
        ("NonNeg", {}),
        ("UnitNorm", {"axis": [0, 1]}),
    ],
)
def test_constraints(name, options):
    w = np.random.default_rng(0).standard_normal((3, 3, 4, 5)).astype("float32")
    expected = getattr(keras.constraints, name)(**options)(w)
    close(getattr(constraints, name)(**options)(w), expected, 1e-5)
