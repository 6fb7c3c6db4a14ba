"""Optimizers: how a gradient changes a parameter. Names and defaults are Keras'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from fastconv.identifiers import resolve
from fastconv.layers.parameter import Parameter
from fastconv.layers.types import Array

__all__ = ["SGD", "Adam", "Optimizer", "get", "serialize"]

#: Elements that are updated at a time. Adam passes over six float32 arrays a dozen times; at
#: 128 KiB a piece, 768 KiB in all, they stay in a 1 MiB second-level cache meanwhile.
CHUNK = 1 << 15


class Optimizer:
    """Base class.

    A subclass lists in `slots` the arrays that it keeps for each parameter, zero at first,
    and defines `update`, which works in place on flat pieces of the arrays.

    Parameters
    ----------
    learning_rate : float
        May be changed between steps.
    weight_decay : float, optional
        Decoupled: before each step w -= learning_rate * weight_decay * w, for every
        parameter. I. Loshchilov, F. Hutter, Decoupled weight decay regularization, ICLR 2019,
        arXiv 1711.05101.

    Attributes
    ----------
    iterations : int
        Steps taken.
    """

    slots: ClassVar[tuple[str, ...]] = ()

    def __init__(self, learning_rate: float, weight_decay: float | None = None) -> None:
        self.learning_rate = float(learning_rate)
        self.weight_decay = None if weight_decay is None else float(weight_decay)
        self.iterations = 0
        self._state: dict[str, dict[str, Array]] = {}
        for argument in ("learning_rate", "weight_decay"):
            value = getattr(self, argument)
            if value is not None and not value >= 0:
                raise ValueError(f"{argument}: got {value!r}, expected a non-negative number")

    def apply(self, parameters: Mapping[str, Parameter]) -> None:
        """Take one step, for each of the named parameters that has a gradient.

        The names are what the optimizer knows parameters by; they must stay the same.
        """
        self.iterations += 1
        for name, parameter in parameters.items():
            if parameter.grad is None:
                continue
            state = self._state.get(name)
            if state is None:
                state = {slot: np.zeros_like(parameter.value) for slot in self.slots}
                self._state[name] = state
            for w, g, *slots in _pieces([parameter.value, parameter.grad, *state.values()]):
                if self.weight_decay:
                    w *= 1 - self.learning_rate * self.weight_decay
                self.update(w, g, *slots)
            parameter.constrain()

    def update(self, w: Array, g: Array, *slots: Array) -> None:
        """Change a piece of a parameter, and of its slots, in place, given the gradient."""
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, the learning rate as it is now."""
        return {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return an optimizer with these arguments, at the beginning."""
        return cls(**config)

    def get_state(self) -> dict[str, dict[str, Array]]:
        """Return the slots, alive, by parameter and slot; `iterations` is the other half."""
        return {name: dict(slots) for name, slots in self._state.items()}

    def set_state(self, state: Mapping[str, Mapping[str, Array]], iterations: int) -> None:
        """Continue where `get_state` and `iterations` were read."""
        for name, slots in state.items():
            if set(slots) != set(self.slots):
                raise ValueError(
                    f"state: got {sorted(slots)} for {name}, {type(self).__name__} keeps "
                    f"{sorted(self.slots)}"
                )
        self._state = {
            name: {slot: np.array(slots[slot], order="C") for slot in self.slots}
            for name, slots in state.items()
        }
        self.iterations = int(iterations)


def _pieces(arrays: list[Array]) -> Iterator[list[Array]]:
    """Cut arrays of one shape into flat views of at most CHUNK elements each."""
    flat = [a.reshape(-1) for a in arrays]
    for start in range(0, flat[0].size, CHUNK):
        yield [a[start : start + CHUNK] for a in flat]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

    Without momentum, w -= learning_rate * g. With it,
    v = momentum * v - learning_rate * g, and w += v, or, with `nesterov`,
    w += momentum * v - learning_rate * g.

    Parameters
    ----------
    learning_rate, weight_decay
        See `Optimizer`.
    momentum : float
        In [0, 1).
    nesterov : bool
        Whether to look ahead.

    Notes
    -----
    Source: I. Sutskever et al., On the importance of initialization and momentum in deep
    learning, ICML 2013, equations 1 to 4, in Keras' form.

    Examples
    --------
    >>> p = Parameter("w", np.array([1.0]))
    >>> sgd = SGD(learning_rate=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     p.grad = 2 * p.value
    ...     sgd.apply({"w": p})
    >>> p.value.round(6)
    array([0.46])
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
    ) -> None:
        super().__init__(learning_rate, weight_decay)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum: got {momentum!r}, expected a number in [0, 1)")
        self.momentum = float(momentum)
        self.nesterov = bool(nesterov)
        if self.momentum:
            self.slots = ("momentum",)  # type: ignore[misc]

    def update(self, w: Array, g: Array, *slots: Array) -> None:
        """Change a piece of a parameter in place."""
        step = g * -self.learning_rate
        if slots:
            (v,) = slots
            v *= self.momentum
            v += step
            w += v if not self.nesterov else self.momentum * v + step
        else:
            w += step

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, the learning rate as it is now."""
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class Adam(Optimizer):
    """Steps scaled by running means of the gradient and of its square.

    With t the number of the step, from 1:

    | m = beta_1 m + (1 - beta_1) g
    | v = beta_2 v + (1 - beta_2) g^2
    | w -= learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon)

    Parameters
    ----------
    learning_rate, weight_decay
        See `Optimizer`.
    beta_1, beta_2 : float
        In [0, 1).
    epsilon : float
        The paper's epsilon-hat, as in Keras; PyTorch adds its epsilon after the correction
        of v.

    Notes
    -----
    Source: D. P. Kingma, J. Ba, Adam: a method for stochastic optimization, ICLR 2015, arXiv
    1412.6980, algorithm 1 in the form that ends its section 2.

    Examples
    --------
    >>> p = Parameter("w", np.array([1.0, -1.0]))
    >>> p.grad = np.array([5.0, 0.01])
    >>> Adam(learning_rate=0.1).apply({"w": p})
    >>> p.value.round(4)
    array([ 0.9, -1.1])
    """

    slots = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
    ) -> None:
        super().__init__(learning_rate, weight_decay)
        self.beta_1 = float(beta_1)
        self.beta_2 = float(beta_2)
        self.epsilon = float(epsilon)
        for argument in ("beta_1", "beta_2"):
            if not 0 <= getattr(self, argument) < 1:
                raise ValueError(
                    f"{argument}: got {getattr(self, argument)!r}, expected a number in [0, 1)"
                )

    def update(self, w: Array, g: Array, *slots: Array) -> None:
        """Change a piece of a parameter in place."""
        m, v = slots
        t = self.iterations
        rate = self.learning_rate * (1 - self.beta_2**t) ** 0.5 / (1 - self.beta_1**t)
        scratch = g * (1 - self.beta_1)
        m *= self.beta_1
        m += scratch
        np.multiply(g, g, out=scratch)
        scratch *= 1 - self.beta_2
        v *= self.beta_2
        v += scratch
        np.sqrt(v, out=scratch)
        scratch += self.epsilon
        np.divide(m, scratch, out=scratch)
        scratch *= rate
        w -= scratch

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, the learning rate as it is now."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


_BY_NAME: dict[str, type[SGD] | type[Adam]] = {"adam": Adam, "sgd": SGD}


def get(identifier: str | Optimizer | Mapping[str, Any]) -> Optimizer:
    """Return the optimizer that a name, a `serialize`d one or an object stands for.

    Examples
    --------
    >>> get("adam").learning_rate
    0.001
    >>> get("adm")
    Traceback (most recent call last):
        ...
    ValueError: optimizer: got 'adm', expected an Optimizer or one of adam, sgd
    """
    return resolve("optimizer", identifier, Optimizer, _BY_NAME, "an Optimizer", key=str.lower)


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Return what `get` makes an optimizer of the same settings of; plain enough for JSON."""
    return {"class_name": type(optimizer).__name__, "config": optimizer.get_config()}
