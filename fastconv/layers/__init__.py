"""Layers: objects with parameters, a forward and a backward pass, under Keras' names."""

from fastconv.layers.activation import ELU, Activation, LeakyReLU, ReLU, Softmax
from fastconv.layers.adaptive_pooling import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AdaptiveMaxPooling3D,
)
from fastconv.layers.augmentation import (
    CenterCrop,
    RandomBrightness,
    RandomContrast,
    RandomCrop,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)
from fastconv.layers.average_pooling import AveragePooling1D, AveragePooling2D, AveragePooling3D
from fastconv.layers.base import Layer
from fastconv.layers.batch_normalization import BatchNormalization
from fastconv.layers.convolution import Conv1D, Conv2D, Conv3D
from fastconv.layers.cropping import Cropping1D, Cropping2D, Cropping3D
from fastconv.layers.dense import Dense
from fastconv.layers.depthwise import DepthwiseConv1D, DepthwiseConv2D
from fastconv.layers.dropout import (
    AlphaDropout,
    Dropout,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from fastconv.layers.global_pooling import (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
)
from fastconv.layers.input import Input, InputLayer
from fastconv.layers.layer_normalization import GroupNormalization, LayerNormalization
from fastconv.layers.local_response_normalization import LocalResponseNormalization
from fastconv.layers.merging import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
)
from fastconv.layers.noise import GaussianDropout, GaussianNoise
from fastconv.layers.padding import ZeroPadding1D, ZeroPadding2D, ZeroPadding3D
from fastconv.layers.parameter import Parameter
from fastconv.layers.pooling import MaxPooling1D, MaxPooling2D, MaxPooling3D
from fastconv.layers.prelu import PReLU
from fastconv.layers.registry import deserialize_layer, register_layer, serialize_layer
from fastconv.layers.rescaling import Normalization, Rescaling
from fastconv.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from fastconv.layers.separable import SeparableConv1D, SeparableConv2D
from fastconv.layers.symbolic import SymbolicTensor
from fastconv.layers.transposed import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
from fastconv.layers.upsampling import UpSampling1D, UpSampling2D, UpSampling3D

__all__ = [
    "ELU",
    "Activation",
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "Add",
    "AlphaDropout",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "BatchNormalization",
    "CenterCrop",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Dropout",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "Input",
    "InputLayer",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "LocalResponseNormalization",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "Parameter",
    "Permute",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "SeparableConv1D",
    "SeparableConv2D",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Subtract",
    "SymbolicTensor",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
    "deserialize_layer",
    "register_layer",
    "serialize_layer",
]
