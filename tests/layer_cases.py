"""Every layer with arguments that matter: (class, shape of a sample but for channels, options)."""

from fastconv.layers import (
    ELU,
    Activation,
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AdaptiveMaxPooling3D,
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
    Cropping1D,
    Cropping2D,
    Cropping3D,
    Dense,
    DepthwiseConv1D,
    DepthwiseConv2D,
    Flatten,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
    GroupNormalization,
    InputLayer,
    LayerNormalization,
    LeakyReLU,
    LocalResponseNormalization,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
    Permute,
    PReLU,
    ReLU,
    RepeatVector,
    Reshape,
    SeparableConv1D,
    SeparableConv2D,
    Softmax,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)

LAST, FIRST = "channels_last", "channels_first"

CONVOLUTIONS = [
    (Conv1D, (9,), {"filters": 4, "kernel_size": 3}),
    (Conv1D, (9,), {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}),
    (Conv1D, (9,), {"filters": 4, "kernel_size": 2, "dilation_rate": 3, "groups": 2}),
    (Conv1D, (9,), {"filters": 2, "kernel_size": 3, "padding": ((2, 1),), "activation": "relu"}),
    (Conv2D, (6, 5), {"filters": 4, "kernel_size": 3}),
    (Conv2D, (6, 5), {"filters": 4, "kernel_size": (3, 2), "strides": (2, 1), "padding": "same"}),
    (Conv2D, (6, 7), {"filters": 4, "kernel_size": 3, "dilation_rate": (1, 2), "groups": 2}),
    (Conv2D, (5, 5), {"filters": 6, "kernel_size": 3, "padding": 1, "activation": "relu"}),
    (Conv2D, (5, 5), {"filters": 3, "kernel_size": 2, "padding": [(0, 1), 1], "use_bias": False}),
    (Conv2D, (4, 4), {"filters": 3, "kernel_size": 1, "activation": "softmax"}),
    (Conv2D, (7, 7), {"filters": 2, "kernel_size": 1, "strides": 3}),
    (Conv3D, (3, 4, 5), {"filters": 2, "kernel_size": 2, "activation": "relu"}),
    (Conv3D, (4, 3, 5), {"filters": 4, "kernel_size": (1, 3, 2), "padding": "same", "strides": 2}),
    (Conv3D, (3, 3, 3), {"filters": 4, "kernel_size": 2, "groups": 2, "dilation_rate": 2}),
]
OTHER_CONVOLUTIONS = [
    (DepthwiseConv1D, (9,), {"kernel_size": 3, "strides": 2, "padding": "same"}),
    (DepthwiseConv2D, (6, 5), {"kernel_size": 3, "depth_multiplier": 2, "activation": "silu"}),
    (DepthwiseConv2D, (6, 5), {"kernel_size": (2, 3), "padding": 1, "dilation_rate": 2}),
    (SeparableConv1D, (9,), {"filters": 3, "kernel_size": 3, "padding": "same"}),
    (
        SeparableConv2D,
        (6, 5),
        {"filters": 3, "kernel_size": 3, "depth_multiplier": 2, "activation": "tanh"},
    ),
    (SeparableConv2D, (6, 5), {"filters": 3, "kernel_size": 2, "strides": 2, "use_bias": False}),
    (Conv1DTranspose, (5,), {"filters": 3, "kernel_size": 3, "strides": 2}),
    (Conv1DTranspose, (5,), {"filters": 3, "kernel_size": 2, "strides": 3, "padding": "same"}),
    (Conv2DTranspose, (4, 3), {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}),
    (Conv2DTranspose, (4, 3), {"filters": 3, "kernel_size": (1, 3), "strides": (2, 1)}),
    (
        Conv2DTranspose,
        (4, 3),
        {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 1},
    ),
    (
        Conv2DTranspose,
        (4, 3),
        {"filters": 2, "kernel_size": 3, "padding": ((1, 0), 1), "activation": "gelu"},
    ),
    (Conv2DTranspose, (4, 3), {"filters": 2, "kernel_size": 2, "dilation_rate": (1, 2)}),
    (Conv3DTranspose, (2, 3, 2), {"filters": 2, "kernel_size": 2, "strides": 2}),
]
POOLINGS = [
    (MaxPooling1D, (7,), {}),
    (MaxPooling1D, (7,), {"pool_size": 3, "strides": 2, "padding": "same"}),
    (MaxPooling2D, (6, 5), {}),
    (MaxPooling2D, (6, 5), {"pool_size": (3, 2), "strides": (1, 2), "padding": "same"}),
    (MaxPooling2D, (5, 5), {"pool_size": 3, "strides": 2, "padding": 1}),
    (MaxPooling2D, (17, 18), {"pool_size": 16, "strides": 1}),
    (MaxPooling3D, (4, 3, 5), {"pool_size": 2, "strides": (1, 2, 1)}),
]
OTHER_POOLINGS = [
    (AveragePooling1D, (7,), {"pool_size": 3, "strides": 2, "padding": "same"}),
    (AveragePooling2D, (6, 5), {}),
    (AveragePooling2D, (6, 5), {"pool_size": (3, 2), "strides": (1, 2), "padding": "same"}),
    (AveragePooling2D, (5, 5), {"pool_size": 3, "strides": 2, "padding": 1}),
    (AveragePooling3D, (4, 3, 5), {"pool_size": 2, "strides": (1, 2, 1)}),
    *((cls, (7,), {"output_size": 3}) for cls in (AdaptiveAveragePooling1D, AdaptiveMaxPooling1D)),
    *(
        (cls, (7, 4), {"output_size": (3, 4)})
        for cls in (AdaptiveAveragePooling2D, AdaptiveMaxPooling2D)
    ),
    *(
        (cls, (3, 4, 5), {"output_size": 2})
        for cls in (AdaptiveAveragePooling3D, AdaptiveMaxPooling3D)
    ),
    (GlobalAveragePooling1D, (7,), {}),
    (GlobalAveragePooling2D, (4, 3), {"keepdims": True}),
    (GlobalAveragePooling2D, (4, 3), {}),
    (GlobalAveragePooling3D, (2, 3, 2), {}),
    (GlobalMaxPooling1D, (7,), {"keepdims": True}),
    (GlobalMaxPooling2D, (4, 3), {}),
    (GlobalMaxPooling3D, (2, 3, 2), {}),
    (UpSampling2D, (3, 2), {"size": (2, 3)}),
    (UpSampling2D, (3, 2), {"size": (2, 3), "interpolation": "bilinear"}),
    (UpSampling3D, (2, 3, 2), {}),
    (ZeroPadding1D, (5,), {"padding": (2, 1)}),
    (ZeroPadding2D, (3, 4), {"padding": ((1, 0), (2, 3))}),
    (ZeroPadding3D, (2, 3, 2), {}),
    (Cropping1D, (5,), {"cropping": (2, 1)}),
    (Cropping2D, (3, 6), {"cropping": ((1, 0), (2, 3))}),
    (Cropping3D, (3, 3, 3), {"cropping": 1}),
    (LocalResponseNormalization, (3, 2), {"size": 3, "alpha": 0.5}),
    (LocalResponseNormalization, (3, 2), {"size": 5, "alpha": 2.0, "beta": 1.0, "k": 1.0}),
]
NAMES = [
    "relu",
    "leaky_relu",
    "elu",
    "celu",
    "exponential",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
    "linear",
]
OTHERS = [
    *((Activation, (3, 4), {"activation": name}) for name in NAMES),
    *((Dense, (5,), {"units": 3, "activation": name}) for name in NAMES),
    (ReLU, (3, 40), {"max_value": 0.5}),
    (ReLU, (3, 40), {"negative_slope": 0.1}),
    (ReLU, (3, 40), {"max_value": 0.8, "negative_slope": 0.1, "threshold": 0.2}),
    (LeakyReLU, (3, 4), {}),
    (ELU, (3, 4), {"alpha": 0.5}),
    (PReLU, (3, 4), {"alpha_initializer": "random_normal"}),
    (PReLU, (3, 4), {"alpha_initializer": "random_normal", "shared_axes": (1,)}),
    (Reshape, (3, 4), {"target_shape": (2, -1)}),
    (Permute, (3, 4, 2), {"dims": (3, 1, 2)}),
    (RepeatVector, (3,), {"n": 4}),
    (UpSampling1D, (3, 2), {"size": 3}),
    (LayerNormalization, (3, 4), {}),
    (LayerNormalization, (3, 4), {"axis": (1, 2), "epsilon": 0.1}),
    (LayerNormalization, (3, 4, 2), {"axis": [1, -1], "center": False}),
    (LayerNormalization, (3, 4), {"axis": 1, "scale": False}),
    (GroupNormalization, (3, 4), {"groups": 2}),
    (GroupNormalization, (4, 3, 2), {"groups": 2, "axis": 1, "scale": False}),
    (GroupNormalization, (3, 2, 4), {"groups": -1, "center": False}),
    (GroupNormalization, (3, 4), {"groups": 1}),
    (Dense, (5,), {"units": 3}),
    (Dense, (5,), {"units": 3, "activation": "relu"}),
    (Dense, (5,), {"units": 4, "activation": "softmax", "use_bias": False}),
    (Dense, (3, 4), {"units": 2, "activation": "relu"}),
    (Flatten, (3, 2, 4), {}),
    (Flatten, (3, 2, 4), {"data_format": FIRST}),
    (Activation, (3, 4), {"activation": "relu"}),
    (Activation, (3, 4), {"activation": "softmax"}),
    (Activation, (3, 4), {"activation": "linear"}),
    (ReLU, (3, 4), {}),
    (Softmax, (3, 4), {}),
    (Softmax, (3, 4), {"axis": 1}),
    (InputLayer, (3, 4), {"shape": (3, 4)}),
]


def in_format(cases):
    for cls, spatial, options in cases:
        for data_format in (LAST, FIRST):
            shape = (*spatial, 4) if data_format == LAST else (4, *spatial)
            yield cls, shape, {**options, "data_format": data_format}


def label(case):
    cls, shape, options = case
    return f"{cls.__name__}-{shape}-" + "-".join(f"{v}" for v in options.values())


#: All of the above, (class, shape of a sample, options).
CASES = [
    *in_format([*CONVOLUTIONS, *OTHER_CONVOLUTIONS, *POOLINGS, *OTHER_POOLINGS]),
    *OTHERS,
]
