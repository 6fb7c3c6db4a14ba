"""Models: layers put together, trained, saved and loaded; and the networks of the lectures."""

from fastconv.models.alexnet import alexnet, zfnet
from fastconv.models.functional import Functional
from fastconv.models.googlenet import googlenet
from fastconv.models.lenet import lenet5
from fastconv.models.mnist import mnist_cnn, mnist_five_layers, mnist_one_layer, x_and_o
from fastconv.models.model import Model
from fastconv.models.pretrained import load_pretrained
from fastconv.models.resnet import resnet, resnet18, resnet34, resnet50, resnet101, resnet152
from fastconv.models.saving import load_model
from fastconv.models.sequential import Sequential
from fastconv.models.vgg import vgg, vgg11, vgg13, vgg16, vgg19

__all__ = [
    "Functional",
    "Model",
    "Sequential",
    "alexnet",
    "googlenet",
    "lenet5",
    "load_model",
    "load_pretrained",
    "mnist_cnn",
    "mnist_five_layers",
    "mnist_one_layer",
    "resnet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "vgg",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "x_and_o",
    "zfnet",
]
