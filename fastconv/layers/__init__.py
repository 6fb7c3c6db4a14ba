"""Layers: objects with parameters, a forward and a backward pass, under Keras' names."""

from fastconv.layers.activation import Activation, ReLU, Softmax
from fastconv.layers.base import Layer
from fastconv.layers.convolution import Conv1D, Conv2D, Conv3D
from fastconv.layers.dense import Dense
from fastconv.layers.input import Input, InputLayer
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
from fastconv.layers.registry import deserialize_layer, register_layer, serialize_layer
from fastconv.layers.regularization import Dropout
from fastconv.layers.reshaping import Flatten

__all__ = [
    "Add",
    "Average",
    "Concatenate",
    "Maximum",
    "Minimum",
    "Multiply",
    "Subtract",
    "Activation",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Parameter",
    "ReLU",
    "Softmax",
    "deserialize_layer",
    "register_layer",
    "serialize_layer",
]
