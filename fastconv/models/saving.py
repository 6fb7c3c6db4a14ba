"""Models to and from files.

A file is safetensors (see `fastconv.checkpoints`). Its arrays are ``parameters/<layer>/<name>``
and ``optimizer/<layer>/<name>/<slot>``, as stored in memory: a convolution's kernel is
(out, in / groups, kernel...), a dense layer's (out, in), the order that PyTorch has as well.
Its description holds the configuration of the model, what `compile` was given, the
optimizer's settings and its number of steps, the state of layers such as dropout, and
``metadata``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

import fastconv
from fastconv.checkpoints import read_checkpoint, write_checkpoint
from fastconv.layers.base import Layer, blank_parameters
from fastconv.layers.registry import deserialize_layer, serialize_layer
from fastconv.layers.types import Array
from fastconv.models.model import Model
from fastconv.training import losses, metrics, optimizers

__all__ = ["load_model", "save_model"]


def save_model(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model to one file, atomically: never half of it, and never none in its place.

    Needs the ``train`` extra.

    Examples
    --------
    >>> import tempfile
    >>> from fastconv.models import lenet5, load_model
    >>> model = lenet5()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(model, f"{folder}/model.safetensors")
    ...     again = load_model(f"{folder}/model.safetensors")
    >>> x = np.ones((1, 28, 28, 1))
    >>> bool((again.predict(x) == model.predict(x)).all())
    True
    """
    if not model.built:
        raise RuntimeError(f"model {model.name!r}: build(input_shape) it first")
    arrays = {f"parameters/{name}": p.value for name, p in model.named_parameters().items()}
    description: dict[str, Any] = {
        "fastconv_version": fastconv.__version__,
        "model": serialize_layer(model),
        "state": model.get_state(),
        "metadata": model.metadata,
        "compile": None,
    }
    if model.optimizer is not None:
        description["compile"] = {
            "optimizer": optimizers.serialize(model.optimizer),
            "iterations": model.optimizer.iterations,
            "loss": [
                None if one.loss is None else losses.serialize(one.loss) for one in model.objectives
            ],
            "metrics": [[metrics.serialize(m) for m in one.metrics] for one in model.objectives],
            "loss_weights": [one.weight for one in model.objectives],
        }
        for name, slots in model.optimizer.get_state().items():
            arrays |= {f"optimizer/{name}/{slot}": value for slot, value in slots.items()}
    write_checkpoint(path, arrays, description)


def load_model(
    path: str | os.PathLike[str],
    custom_objects: Mapping[str, type[Layer]] | None = None,
    compile: bool = True,
) -> Model:
    """Return the model that `Model.save` wrote, ready to predict and to train on.

    Parameters
    ----------
    path : path-like
        The file.
    custom_objects : mapping of str to class, optional
        Layers that are not fastconv's, by the name of their class.
    compile : bool
        Whether to compile it as it was; needed to go on training as if it had not stopped,
        not needed to predict.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where it is not a model of fastconv, or damaged.
    """
    arrays, description = read_checkpoint(path)
    try:
        with blank_parameters():
            model = deserialize_layer(description["model"], custom_objects)
        if not isinstance(model, Model):
            raise ValueError(f"holds a {type(model).__name__}, not a model")
        _fill(model, _below("parameters/", arrays))
        model.set_state(description["state"])
        model.metadata = dict(description["metadata"])
        settings = description["compile"]
        if compile and settings is not None:
            model.compile(
                settings["optimizer"],
                settings["loss"],
                *_of_outputs(model, settings["metrics"], settings["loss_weights"]),
            )
            _fill_optimizer(model, _below("optimizer/", arrays), settings["iterations"])
    except (KeyError, TypeError, ValueError) as error:
        problem = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{os.fspath(path)}: {problem}") from error
    return model


def _of_outputs(model: Model, metrics_: list[Any], weights: list[float]) -> tuple[Any, Any]:
    """Return the metrics and the weights of the losses as `compile` takes them."""
    return (metrics_, weights) if len(model.output_names) > 1 else (metrics_[0], weights)


def _below(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def _fill(model: Model, arrays: Mapping[str, Array]) -> None:
    parameters = model.named_parameters()
    if parameters.keys() != arrays.keys():
        odd = sorted(parameters.keys() ^ arrays.keys())
        raise ValueError(f"its parameters are not those of its layers: {', '.join(odd)}")
    for name, parameter in parameters.items():
        if arrays[name].shape != parameter.value.shape:
            raise ValueError(
                f"{name} has shape {arrays[name].shape}, expected {parameter.value.shape}"
            )
        np.copyto(parameter.value, arrays[name])


def _fill_optimizer(model: Model, arrays: Mapping[str, Array], iterations: int) -> None:
    parameters = model.named_parameters()
    state: dict[str, dict[str, Array]] = {}
    for name, array in arrays.items():
        parameter, _, slot = name.rpartition("/")
        if parameter not in parameters or array.shape != parameters[parameter].value.shape:
            raise ValueError(f"optimizer state {name} of shape {array.shape} fits no parameter")
        state.setdefault(parameter, {})[slot] = array
    assert model.optimizer is not None
    model.optimizer.set_state(state, iterations)
