"""Output shapes, parameters and operations: against the computation, and the lectures' facts."""

import numpy as np
import pytest

from fastconv.layers import (
    Conv1D,
    Conv2D,
    Conv3D,
    Dense,
    Flatten,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("padding", ["valid", "same", 1, ((0, 1),)])
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("extent", [7, 8, 9])
def test_convolution(data_format, padding, strides, dilation, extent):
    layer = Conv1D(3, 3, strides, padding, data_format, dilation)
    shape = (2, extent, 2) if data_format == "channels_last" else (2, 2, extent)
    assert layer(np.ones(shape)).shape == layer.compute_output_shape(shape)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("cls", "rank"), [(MaxPooling1D, 1), (MaxPooling2D, 2), (MaxPooling3D, 3)])
@pytest.mark.parametrize("strides", [None, 1, 3])
def test_pooling(cls, rank, strides, padding):
    shape = (2, *(7, 6, 5)[:rank], 3)
    layer = cls(2, strides, padding)
    assert layer(np.ones(shape)).shape == layer.compute_output_shape(shape)


def test_unknown_extents_stay_unknown():
    assert Conv2D(8, 3, padding="same").compute_output_shape((None, None, None, 3)) == (
        None,
        None,
        None,
        8,
    )
    assert Flatten().compute_output_shape((None, None, 3)) == (None, None)


def test_output_sizes_of_the_lectures(lectures):
    for case in lectures["output_size"]["cases"]:
        layer = Conv1D(1, case["F"], case["S"], case["P"])
        assert layer.compute_output_shape((None, case["N"], 1)) == (None, case["out"], 1)
        assert layer.notes((None, case["N"], 1)) == []
    for case in lectures["output_size"]["does_not_fit"]:
        layer = Conv1D(1, case["F"], case["S"], case["P"])
        (note,) = layer.notes((None, case["N"], 1))
        assert note == "stride 3 does not fit 7: the last 1 is left out"


def test_parameter_counts_of_the_lectures(lectures):
    filters, alexnet, shared = (case["parameters"] for case in lectures["parameter_counts"])

    def count(layer, *shape):
        layer.build((None, *shape))
        return layer.count_params()

    assert count(Conv2D(10, 5), 32, 32, 3) == filters
    assert count(Conv2D(96, 11, strides=4, use_bias=False), 227, 227, 3) == alexnet
    assert count(Conv2D(1, 3), 8, 8, 1) == shared
    facts = lectures["conv1d"]
    assert count(Conv1D(1, 3, padding="same"), 10, 1) == facts["parameters_with_bias"]
    assert count(Dense(10), 10) == facts["same_size_dense_10_to_10_parameters"]


def test_the_convolution_of_the_lectures(lectures):
    facts = lectures["conv1d"]
    x = np.array(facts["input"], np.float32).reshape(1, -1, 1)

    def run(**options):
        layer = Conv1D(1, 3, **options)
        layer.build(x.shape)
        layer.set_weights([np.reshape(facts["filter"], (3, 1, 1)), [facts["bias"]]])
        return layer(x)[0, :, 0].tolist()

    assert run() == facts["valid"]
    assert run(activation="relu") == facts["valid_relu"]
    assert run(padding=1) == run(padding="same") == facts["zero_padded_1"]


def test_x_and_o_of_the_lectures(lectures):
    facts = lectures["x_and_o"]
    names = list(facts["features"])
    layer = Conv2D(3, 3, use_bias=False)
    layer.build((None, 9, 9, 1))
    layer.set_weights([np.stack([facts["features"][n] for n in names], -1)[:, :, None]])
    y = layer(np.array(facts["image_x"])[None, ..., None])
    for name, expected in facts["filtered_times_9"].items():
        np.testing.assert_array_equal(y[0, ..., names.index(name)], expected)
    pooled = MaxPooling2D(2, padding=((0, 1), (0, 1)))(y)  # keeps the last partial window
    for name, expected in facts["pooled_times_9"].items():
        np.testing.assert_array_equal(pooled[0, ..., names.index(name)], expected)


def test_max_pooling_of_the_lectures(lectures):
    facts = lectures["max_pool2d"]
    x = np.array(facts["input"])[None, ..., None]
    assert MaxPooling2D(3, 1)(x)[0, ..., 0].tolist() == facts["size_3_stride_1"]
    assert MaxPooling2D(3)(x)[0, ..., 0].tolist() == facts["size_3_stride_3"]


def test_multiply_adds():
    assert Conv2D(8, (3, 2), groups=2).multiply_adds((None, 5, 5, 4)) == 3 * 4 * 8 * 6 * 2
    assert Conv3D(2, 2).multiply_adds((None, 3, 3, 3, 1)) == 8 * 2 * 8
    assert Dense(10).multiply_adds((None, 7)) == 70
    assert Dense(10).multiply_adds((None, 3, 7)) == 210
    assert MaxPooling2D().multiply_adds((None, 4, 4, 2)) == 0
