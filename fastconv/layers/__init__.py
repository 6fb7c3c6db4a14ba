"""Layers: objects with parameters, a forward and a backward pass, under Keras' names."""

from fastconv.layers.activation import ELU, Activation, LeakyReLU, ReLU, Softmax
from fastconv.layers.base import Layer
from fastconv.layers.batch_normalization import BatchNormalization
from fastconv.layers.convolution import Conv1D, Conv2D, Conv3D
from fastconv.layers.dense import Dense
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
from fastconv.layers.parameter import Parameter
from fastconv.layers.pooling import MaxPooling1D, MaxPooling2D, MaxPooling3D
from fastconv.layers.prelu import PReLU
from fastconv.layers.registry import deserialize_layer, register_layer, serialize_layer
from fastconv.layers.regularization import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from fastconv.layers.reshaping import Flatten

__all__ = [
    "ELU",
    "Activation",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Dense",
    "Dropout",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
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
    "PReLU",
    "Parameter",
    "ReLU",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Subtract",
    "deserialize_layer",
    "register_layer",
    "serialize_layer",
]
