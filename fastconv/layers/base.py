"""What every layer has: a name, parameters, forward, backward, shapes and a configuration."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self, TypedDict

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastconv import initializers
from fastconv.layers.parameter import Parameter
from fastconv.layers.symbolic import Node, SymbolicTensor, connect, is_symbolic
from fastconv.layers.types import FLOATS, Array, Shape

if TYPE_CHECKING:
    from fastconv.constraints import Constraint
    from fastconv.layers.fusion import InferenceForm
    from fastconv.regularizers import Regularizer

__all__ = ["Layer", "LayerOptions", "as_shape", "blank_parameters"]


class LayerOptions(TypedDict, total=False):
    """The keyword arguments that every layer takes; see `Layer`."""

    name: str | None
    trainable: bool
    dtype: DTypeLike | None
    input_shape: Sequence[int | None] | None


class Layer:
    """Base class of layers and models.

    A subclass overrides `forward`, `backward` and, where they differ from a layer without
    parameters that keeps its input's shape, `build`, `compute_output_shape`, `multiply_adds`
    and `get_config`. In training mode `forward` hands what `backward` will need to `_save`,
    and `backward` takes it from `_saved`; at inference nothing is kept, so one layer may
    infer in many threads at once.

    Parameters
    ----------
    name : str, optional
        Unique within a model. A model numbers the unnamed ones: conv2d, conv2d_1, ...
    trainable : bool
        False freezes the parameters.
    dtype : dtype, optional
        float32 or float64; by default that of the model, or float32.
    input_shape : sequence of int, optional
        Shape of one input, without the batch, for the first layer of a `Sequential`.

    Attributes
    ----------
    nodes : list of Node
        The calls on values of a graph, in order.

    Examples
    --------
    >>> class Double(Layer):
    ...     def forward(self, x, training=False):
    ...         return x + x
    ...     def backward(self, grad, need_input_grad=True):
    ...         return grad + grad
    >>> Double()([[1, 2]])
    array([[2., 4.]], dtype=float32)
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: DTypeLike | None = None,
        input_shape: Sequence[int | None] | None = None,
    ) -> None:
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise ValueError(f"name: got {name!r}, expected a non-empty string without '/'")
        self._name = name
        self._trainable = bool(trainable)
        self.built = False
        self._dtype: np.dtype[Any] | None = None
        if dtype is not None:
            self.adopt_dtype(dtype)
        self.declared_input_shape: Shape | None = (
            None if input_shape is None else (None, *as_shape(input_shape, "input_shape"))
        )
        self.nodes: list[Node] = []
        self._parameters: dict[str, Parameter] = {}
        self._tape: list[tuple[Any, ...]] = []

    # ---- names and types

    @classmethod
    def default_name(cls) -> str:
        """Return the class' name in snake case: MaxPooling2D is max_pooling2d."""
        return _snake_case(cls.__name__)

    @property
    def name(self) -> str:
        """The name; settable once, which a model does for layers without one."""
        return self._name or self.default_name()

    @property
    def named(self) -> bool:
        """Whether the name was given, by the user or by a model."""
        return self._name is not None

    def adopt_name(self, name: str) -> None:
        """Take a name, where none was given."""
        if self._name is None:
            self._name = name

    @property
    def dtype(self) -> np.dtype[Any]:
        """What the layer computes in."""
        return self._dtype or FLOATS[0]

    def adopt_dtype(self, dtype: DTypeLike) -> None:
        """Take the dtype of a model; an error where another one was chosen before."""
        wanted = np.dtype(dtype)
        if wanted not in FLOATS:
            raise ValueError(f"dtype: got {wanted}, expected float32 or float64")
        if wanted != (self._dtype or wanted) or (self.built and wanted != self.dtype):
            raise ValueError(f"dtype: got {wanted}, but {self.name!r} has {self.dtype} already")
        self._dtype = wanted

    @property
    def has_dtype(self) -> bool:
        """Whether a dtype was chosen, rather than left to the default."""
        return self._dtype is not None

    # ---- parameters

    def add_weight(
        self,
        name: str,
        shape: Sequence[int],
        initializer: str | initializers.Initializer = "glorot_uniform",
        *,
        storage: Sequence[int] | None = None,
        trainable: bool = True,
        regularizer: Regularizer | None = None,
        constraint: Constraint | None = None,
    ) -> Parameter:
        """Make a parameter of this shape, in Keras' order; see `Parameter`."""
        first = initializers.Zeros() if _blank.get() else initializers.get(initializer)
        value = first(tuple(shape), self.dtype)
        parameter = Parameter(
            name,
            value,
            storage=storage,
            trainable=trainable,
            regularizer=regularizer,
            constraint=constraint,
        )
        self._parameters[name] = parameter
        return parameter

    def weight(self, name: str) -> Parameter:
        """Return the parameter of this name."""
        try:
            return self._parameters[name]
        except KeyError:
            hint = "" if self.built else ": build(input_shape) the layer, or call it, first"
            raise RuntimeError(f"layer {self.name!r} has no parameter {name!r}{hint}") from None

    @property
    def trainable(self) -> bool:
        """Whether training changes the parameters."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)

    def named_parameters(self) -> dict[str, Parameter]:
        """Return all parameters by name, in order of creation."""
        return dict(self._parameters)

    def trainable_parameters(self) -> dict[str, Parameter]:
        """Return the parameters that training changes, by name."""
        if not self.trainable:
            return {}
        return {name: p for name, p in self.named_parameters().items() if p.trainable}

    @property
    def parameters(self) -> list[Parameter]:
        """All parameters, in order of creation."""
        return list(self.named_parameters().values())

    @property
    def gradients(self) -> dict[str, Array | None]:
        """The gradients of the trainable parameters, by name; shaped as `Parameter.value`."""
        return {name: p.grad for name, p in self.trainable_parameters().items()}

    def clear_gradients(self) -> None:
        """Forget the gradients of the last backward pass."""
        for parameter in self.parameters:
            parameter.grad = None

    def get_weights(self) -> list[Array]:
        """Return copies of the parameters, in Keras' shapes.

        Copies, because ``set_weights(weights)`` after more training must bring the old values
        back. `Parameter.view` is the live array.
        """
        return [np.array(p.view, order="C") for p in self.parameters]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Copy in what `get_weights` returned."""
        parameters = self.named_parameters()
        if len(weights) != len(parameters):
            raise ValueError(
                f"weights: got {len(weights)} arrays, but {self.name!r} has {len(parameters)} "
                f"parameters: {', '.join(parameters) or 'none'}"
            )
        arrays = [np.asarray(w) for w in weights]
        for (name, p), array in zip(parameters.items(), arrays, strict=True):
            if array.shape != p.view.shape:
                raise ValueError(
                    f"weights: got shape {array.shape} for {self.name}/{name}, "
                    f"expected {p.view.shape}"
                )
        for p, array in zip(parameters.values(), arrays, strict=True):
            p.assign(array)

    def count_params(self) -> int:
        """Return how many numbers the parameters hold."""
        return sum(p.value.size for p in self.parameters)

    # ---- shapes

    def build(self, input_shape: Shape) -> None:
        """Create the parameters for inputs of this shape, batch included.

        Only the first call does it, also in subclasses.
        """
        self.built = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "build" in cls.__dict__:
            cls.build = _once(cls.build)  # type: ignore[assignment, method-assign]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape that `forward` returns for this input shape, batch included."""
        return input_shape

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return the multiply-add operations of one forward pass over one input."""
        return 0

    def notes(self, input_shape: Shape) -> list[str]:
        """Return remarks for `summary`, such as a stride that does not fit."""
        return []

    # ---- computing

    def __call__(self, x: Any, training: bool = False) -> Any:
        """Build if necessary and return the output; nothing is kept for `backward`.

        Called on a `SymbolicTensor`, as `Input` and every layer called on one return, it
        returns another: that is how graphs are made. See `fastconv.Model`.
        """
        if is_symbolic(x):
            return connect(self, x)
        x = self.as_input(x)
        shapes: Any = [a.shape for a in x] if isinstance(x, list) else x.shape
        self.build(shapes)
        try:
            return self.forward(x, training)
        finally:
            if training:
                self.release()

    def as_input(self, x: Any) -> Any:
        """Return what `forward` takes: an array of this layer's dtype, or a list of some."""
        return np.asarray(x, dtype=self.dtype)

    @property
    def input(self) -> SymbolicTensor | list[SymbolicTensor]:
        """What the layer was called on, in a graph that it is part of once."""
        node = self._only_node()
        return list(node.inputs) if node.takes_list else node.inputs[0]

    @property
    def output(self) -> SymbolicTensor | list[SymbolicTensor]:
        """What it returned there."""
        node = self._only_node()
        return node.outputs[0] if len(node.outputs) == 1 else list(node.outputs)

    def _only_node(self) -> Node:
        if len(self.nodes) != 1:
            raise AttributeError(
                f"layer {self.name!r} was called {len(self.nodes)} times on values of a graph: "
                "only after one call it has an input and an output"
            )
        return self.nodes[0]

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the output, and with `training` keep what `backward` needs."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Take the last `forward` back.

        Adds to each trainable parameter's ``grad`` and returns the gradient with respect to
        the input; None may be returned where `need_input_grad` is False.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define backward")

    def _save(self, *values: Any) -> None:
        """Keep values for `backward`; a stack, so that a layer may be used more than once."""
        self._tape.append(values)

    def _saved(self) -> tuple[Any, ...]:
        """Take back what the last `_save` kept."""
        if not self._tape:
            raise RuntimeError(
                f"layer {self.name!r}: backward() needs a forward(x, training=True) before it"
            )
        return self._tape.pop()

    def discard(self) -> None:
        """Take the last `forward` back without a gradient."""
        if self._tape:
            self._tape.pop()

    def release(self) -> None:
        """Drop whatever was kept for backward passes that will not come."""
        self._tape.clear()

    # ---- a softmax at the end, which a loss may take over

    def softmax_axis(self, ndim: int) -> int | None:
        """Return the axis, from 0, of a softmax that ends this layer, or None without one."""
        return None

    def forward_logits(self, x: Array, training: bool = False) -> Array:
        """Do `forward` without the softmax at its end; `backward` then takes back just that."""
        return self.forward(x, training)

    def inference_form(self) -> InferenceForm | None:
        """Return what `forward` computes at inference; see `fastconv.layers.fusion`."""
        return None

    # ---- configuration and other state

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, plain enough for JSON."""
        return {
            "name": self._name,
            "trainable": self._trainable,
            "dtype": None if self._dtype is None else self._dtype.name,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a layer with these arguments, not built."""
        return cls(**config)

    def get_state(self) -> dict[str, Any]:
        """Return what training changes besides parameters, plain enough for JSON."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Bring back what `get_state` returned."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}{'' if self.built else ', not built'}>"


@functools.cache  # the expressions take as long as a small layer
def _snake_case(name: str) -> str:
    words = re.sub(r"([A-Z]+)([A-Z][a-z])|([a-z0-9])([A-Z])", r"\1\3_\2\4", name)
    return re.sub(r"_(\d*D)\b", r"\1", words).lower().strip("_")


def _once(build: Callable[[Any, Shape], None]) -> Callable[[Any, Shape], None]:
    """Let `build` do nothing for a layer that is built, and mark those that it builds."""

    @functools.wraps(build)
    def wrapper(self: Layer, input_shape: Shape) -> None:
        if not self.built:
            build(self, input_shape)
            self.built = True

    return wrapper


def as_shape(shape: Sequence[int | None], argument: str) -> Shape:
    """Return a shape as a tuple of positive integers and None."""
    values = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else None
    if values is None or not all(
        v is None or (isinstance(v, int | np.integer) and not isinstance(v, bool) and v > 0)
        for v in values
    ):
        raise ValueError(f"{argument}: got {shape!r}, expected positive integers or None")
    return tuple(None if v is None else int(v) for v in values)


_blank: ContextVar[bool] = ContextVar("blank", default=False)


@contextlib.contextmanager
def blank_parameters() -> Iterator[None]:
    """Let layers that are built inside begin with zeros; their values come from elsewhere.

    Examples
    --------
    >>> layer = Layer()
    >>> with blank_parameters():
    ...     layer.add_weight("scale", (2,), "ones").value
    array([0., 0.], dtype=float32)
    """
    token = _blank.set(True)
    try:
        yield
    finally:
        _blank.reset(token)
