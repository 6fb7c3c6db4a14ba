"""What predict runs: equal to the layers one by one, fewer steps, up to date."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastconv import Model, Sequential, utils
from fastconv.layers import (
    Activation,
    Add,
    Concatenate,
    Conv1D,
    Conv2D,
    Conv3D,
    Dense,
    Flatten,
    GlobalMaxPooling2D,
    Input,
    MaxPooling2D,
    ReLU,
    Softmax,
)
from fastconv.models.prepared import PreparedModel

FORMATS = ["channels_last", "channels_first"]


def kinds(model):
    return [type(step.layer).__name__ for step in PreparedModel(model).steps]


def random(model, batch=3, seed=0):
    rng = np.random.default_rng(seed)
    for p in model.parameters:
        p.value += rng.standard_normal(p.value.shape).astype(p.value.dtype) * 0.03
    return [
        rng.standard_normal((batch, *shape[1:])).astype(model.dtype) for shape in model.input_shapes
    ]


@pytest.fixture(autouse=True)
def seed():
    """Sums of hundreds of channels cancel now and then, beyond the tolerance: not by chance."""
    utils.set_random_seed(1)


def check(model, batch=3):
    xs = random(model, batch)
    count = len(model.output_shapes)
    expected = model.forward_outputs(xs, False, [False] * count)
    results = PreparedModel(model).run(xs)
    tolerance = 1e-5 if model.dtype == np.float32 else 1e-12
    for result, want, shape in zip(results, expected, model.output_shapes, strict=True):
        assert result.shape == want.shape == (batch, *shape[1:])
        assert result.dtype == model.dtype
        np.testing.assert_allclose(result, want, rtol=tolerance, atol=tolerance)


def axis(data_format):
    return -1 if data_format == "channels_last" else 1


def shape(spatial, channels, data_format):
    return (*spatial, channels) if data_format == "channels_last" else (channels, *spatial)


def inception(data_format, dtype):
    """A block whose branches end in convolutions, of which one is read twice."""
    options = {"padding": "same", "activation": "relu", "data_format": data_format}
    x = Input(shape((7, 7), 5, data_format), dtype=dtype)
    one = Conv2D(3, 1, **options)(x)
    three = Conv2D(17, 3, **options)(Conv2D(4, 1, **options)(x))
    pool = MaxPooling2D(3, 1, padding="same", data_format=data_format)(x)
    last = Conv2D(6, 1, **options)(pool)
    y = Concatenate(axis(data_format))([three, one, last])
    return Model(x, MaxPooling2D(2, data_format=data_format)(y))


def residual(data_format, dtype):
    options = {"padding": "same", "data_format": data_format}
    x = Input(shape((6, 6), 8, data_format), dtype=dtype)
    y = ReLU()(Conv2D(8, 3, **options)(x))
    y = Conv2D(8, 3, **options)(y)
    y = Activation("relu")(Add()([y, x]))
    short = Conv2D(4, 1, strides=2, data_format=data_format)(y)
    long = Conv2D(4, 3, strides=2, **options)(y)
    y = Activation("relu")(Add()([short, long]))
    return Model(x, Dense(3, "softmax")(Flatten(data_format)(y)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("make", [inception, residual])
def test_graphs(make, data_format, dtype, batch):
    check(make(data_format, dtype), batch)


def test_what_is_joined():
    assert kinds(inception("channels_last", "float32")).count("Concatenate") == 1
    prepared = PreparedModel(inception("channels_first", "float32"))
    assert [(p.first, p.total) for p in (step.place for step in prepared.steps) if p] == [
        (17, 26),
        (0, 26),
        (20, 26),
    ]
    assert kinds(residual("channels_last", "float32")) == [
        "Conv2D",
        "Conv2D",
        "Conv2D",
        "Conv2D",
        "Flatten",
        "Dense",
    ]


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize(("cls", "rank"), [(Conv1D, 1), (Conv2D, 2), (Conv3D, 3)])
@pytest.mark.parametrize("activation", [None, "relu", "softmax"])
def test_stacks(cls, rank, data_format, activation):
    model = Sequential(
        [
            Input(shape((7, 6, 5)[:rank], 4, data_format)),
            cls(6, 3, 2, "same", data_format, activation=activation, groups=2),
            cls(5, 2, padding=1, data_format=data_format, dilation_rate=2, use_bias=False),
            ReLU(),
            Sequential([cls(3, 1, data_format=data_format), Softmax(axis(data_format))]),
        ]
    )
    check(model)
    assert len(PreparedModel(model).steps) == 4


def test_a_value_that_is_read_twice_is_not_joined():
    x = Input((5, 5, 4))
    y = Conv2D(4, 3, padding="same")(x)
    model = Model(x, [ReLU()(y), Add()([y, y]), y])
    check(model)
    assert kinds(model) == ["Conv2D", "ReLU", "Add"]


def test_a_broadcast_sum_is_not_joined():
    x, bias = Input((5, 5, 4)), Input((1, 1, 4))
    model = Model([x, bias], Add()([Conv2D(4, 3, padding="same")(x), bias]))
    check(model)
    assert kinds(model) == ["Conv2D", "Add"]


def test_concatenations_of_other_things_are_computed():
    x = Input((5, 5, 4))
    y = Conv2D(4, 3, padding="same")(x)
    pooled = MaxPooling2D(1)(y)
    stacked = Concatenate(1)([Conv2D(4, 1)(y), Conv2D(4, 1)(y)])
    twice = Conv2D(2, 1)(y)
    model = Model(x, [Concatenate()([y, pooled]), stacked, Concatenate()([twice, twice])])
    assert not any(step.place for step in PreparedModel(model).steps)
    check(model)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize(("dtype", "channels"), [("float32", 512), ("float64", 256)])
def test_positions_of_many_channels_lie_apart(data_format, dtype, channels):
    """For 1x1 convolutions, beside sums and pools; other layers and callers get dense ones."""
    options = {"data_format": data_format}
    x = Input(shape((4, 4), 3, data_format), dtype=dtype)
    y = Conv2D(channels, 1, **options)(x)
    z = Add()([Conv2D(channels, 1, **options)(y), y])
    parts = [Conv2D(channels // 2, 1, **options)(z) for _ in range(2)]
    whole = Concatenate(axis(data_format))(parts)
    near = Conv2D(1, 1, **options)(whole)
    pooled = MaxPooling2D(2, **options)(whole)
    last = Conv2D(channels, 1, **options)(pooled)
    wide = Conv2D(1, 2, **options)(Conv2D(channels, 1, **options)(pooled))
    flat = Flatten()(Conv2D(channels, 1, **options)(pooled))
    model = Model(x, [last, flat, near, wide, GlobalMaxPooling2D(**options)(whole)])
    check(model)
    item = np.dtype(dtype).itemsize
    apart = channels + 64 // item
    found = Counter(step.pitch for step in PreparedModel(model).steps if step.pitch)
    assert found == {apart: 4, channels: 3, 1: 2}


def test_predictions_follow_the_weights():
    model = Sequential([Dense(3, input_shape=(4,)), ReLU()])
    x = np.ones((2, 4), np.float32)
    kernel = model.layers[0].weight("kernel")

    def fresh():
        np.testing.assert_array_equal(model.predict(x), model(x))

    fresh()
    kept = model.prepare()
    assert model.prepare() is kept
    kernel.value[:] += 1
    fresh()
    kernel.value += 1
    fresh()
    kernel.view[0] = 3
    fresh()
    kernel.assign(np.full((4, 3), 0.5))
    fresh()
    model.set_weights([np.eye(4, 3), np.ones(3)])
    fresh()
    model.compile("sgd", "mse")
    model.fit(x, np.ones((2, 3)), verbose=0)
    fresh()
    model.add(Dense(2))
    fresh()
    model.pop()
    fresh()
    kept = model.prepare()
    model.predict(x)
    assert model.prepare() is kept


def test_many_threads_predict_at_once():
    model = inception("channels_last", "float32")
    xs = [random(model, 2, seed) for seed in range(16)]
    expected = [model.infer(x)[0] for x in xs]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda x: model.infer(x)[0], xs * 4))
    for result, want in zip(results, expected * 4, strict=True):
        np.testing.assert_array_equal(result, want)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("make", [inception, residual])
def test_an_image_alone_and_in_a_batch(make, data_format, isa):
    model = make(data_format, "float32")
    (x,) = random(model, 7)
    whole = model.predict(x)
    for first, count in ((0, 1), (6, 1), (1, 3), (2, 5)):
        rows = slice(first, first + count)
        np.testing.assert_array_equal(model.predict(x[rows]), whole[rows])
