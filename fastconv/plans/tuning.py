"""Algorithms measured on this machine, where the model of costs may be wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex

import numpy as np
import numpy.typing as npt

from fastconv import _core
from fastconv.plans.choices import CACHE_VARIABLE, save_choices
from fastconv.plans.explanation import (
    Computation,
    DataFormat,
    Operand,
    Plan,
    as_plan,
    blank,
    operands,
)

if TYPE_CHECKING:
    from fastconv._typing import Array, Padding, Size

__all__ = ["Measurement", "autotune", "clear_choices"]

_WITHIN = 1.6  # of the least modelled cost of a transform: what is worth measuring
_LEAST_GAIN = 0.03  # below this a measured difference is taken for noise
_MOST_ERROR = 1e-4  # of the largest result: what precision "high" promises
_BFLOAT16_ERROR = 2.0**-8  # a neighbour, after the same sum in another order was rounded


@dataclass(frozen=True)
class Measurement:
    """One candidate of `autotune`.

    Attributes
    ----------
    plan : Plan
        What was run.
    seconds : float
        The least of its times.
    error : float
        ``max|y - direct| / max|direct|`` against direct summation.
    """

    plan: Plan
    seconds: float
    error: float


def autotune(
    computation: Computation,
    input: Operand,
    weight: Operand,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    *,
    dtype: npt.DTypeLike | None = None,
    data_format: DataFormat = "channels_first",
    precision: Literal["high", "highest"] | None = None,
    seconds: float = 0.5,
    path: str | os.PathLike[str] | None = None,
) -> tuple[Measurement, ...]:
    """Measure the algorithms that apply to a problem, and use the fastest from now on.

    Candidates are direct summation along outputs, positions and channels, and the transforms
    whose modelled cost is within 1.6 times the least. Each result is compared with direct
    summation before it counts. The model's own choice stays unless another one is at least 3 %
    faster. All later calls of the process with this problem use the winner: the same shapes
    but for N, parameters, dtype, layout, precision and instruction set. The bits of a result
    may change with the choice; they do not depend on N or on the number of threads before or
    after.

    Parameters
    ----------
    computation, input, weight, stride, padding, dilation, groups, dtype, data_format, precision
        As for `explain`. Random numbers stand in for operands given as shapes. Take a batch of
        the size that the program will use.
    seconds : float
        How long to measure, about; every candidate runs at least three times.
    path : path, optional
        A JSON file to add the choice to, for `load_choices`. Without it that is the file named
        by the environment variable FASTCONV_AUTOTUNE_CACHE, if there is one, which is also
        read when fastconv is imported.

    Returns
    -------
    tuple of Measurement
        The candidates that gave right results, fastest first.

    Raises
    ------
    TypeError, ValueError
        As for `explain`.

    Examples
    --------
    >>> found = autotune("forward", (1, 16, 12, 12), (16, 16, 3, 3), padding=1, seconds=0.01)
    >>> found[0].seconds <= found[-1].seconds
    True
    >>> clear_choices()
    """
    if not seconds >= 0:
        raise ValueError(f"seconds: expected a number that is not negative, got {seconds!r}")
    x, w = operands(input, weight, dtype, data_format)
    window = (stride, padding, dilation, groups, precision)

    def plan_of(algorithm: int) -> dict[str, Any] | None:
        return _core.conv_plan(computation, x, w, *window, algorithm=algorithm)

    present = plan_of(0)
    assert present is not None
    key = present["problem_key"]
    _core.set_choice(key, 0)  # for the model's own choice
    own = plan_of(0)
    assert own is not None
    candidates = _candidates(plan_of, own)
    arrays = _arrays(computation, x, w, own["output_shape"])
    measured = _measure(computation, candidates, arrays, window, seconds)
    best = measured[0]
    for one in measured:
        if one.plan.number == own["algorithm"] and best.seconds > one.seconds * (1 - _LEAST_GAIN):
            best = one
    _core.set_choice(key, best.plan.number)
    target = path if path is not None else os.environ.get(CACHE_VARIABLE)
    if target:
        save_choices(Path(target), {key: best.plan.number})
    return measured


def _candidates(
    plan_of: Callable[[int], dict[str, Any] | None], own: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the plans worth measuring, first direct summation, which verifies the others."""
    found = [plan for number in range(1, _core.conv_algorithms()) if (plan := plan_of(number))]
    transforms = [plan["relative_cost"] for plan in found if plan["name"] == "winograd"]
    limit = _WITHIN * min(transforms, default=0)
    return [
        plan
        for plan in found
        if plan["name"] != "winograd"
        or plan["relative_cost"] <= limit
        or plan["algorithm"] == own["algorithm"]
    ]


def _arrays(
    computation: str, x: npt.NDArray[Any], w: npt.NDArray[Any], output_shape: tuple[int, ...]
) -> dict[str, Array]:
    """Operands of random numbers, in the layout of `x`."""
    rng = np.random.default_rng(0)
    last = x.ndim > 2 and x.strides[1] == x.itemsize and x.shape[1] > 1
    y = blank("output", output_shape, x.dtype, last)

    def random(like: npt.NDArray[Any]) -> Array:
        order = sorted(range(like.ndim), key=lambda axis: -like.strides[axis])
        values = rng.standard_normal([like.shape[axis] for axis in order])
        return values.astype(like.dtype).transpose(np.argsort(order))

    x = x if x.ndim == y.ndim else x[None]
    return {"output": random(y), "input": random(x), "weight": random(w)}


_WRITTEN = {"backward_input": "input", "backward_weight": "weight"}


def _measure(
    computation: str,
    candidates: list[dict[str, Any]],
    arrays: dict[str, Array],
    window: tuple[Any, ...],
    seconds: float,
) -> tuple[Measurement, ...]:
    result = arrays[_WRITTEN.get(computation, "output")]
    operands = (arrays["output"], arrays["input"], arrays["weight"])

    def compute(plan: dict[str, Any]) -> None:
        _core.conv_by(plan["algorithm"], computation, *operands, *window)

    compute(candidates[0])
    expected = result.astype(np.float64)
    scale = float(np.abs(expected).max(initial=0)) or 1.0
    most = _MOST_ERROR + (_BFLOAT16_ERROR if result.itemsize == 2 else 0)
    errors, times = {}, {}
    for plan in candidates:
        result.fill(0)
        compute(plan)
        error = float(np.abs(result - expected).max(initial=0)) / scale
        if error <= most:
            errors[plan["algorithm"]], times[plan["algorithm"]] = error, float("inf")
    # In turns, so that other load on the machine meets all of them alike.
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < 3 or time.perf_counter() < end:
        rounds += 1
        for plan in candidates:
            if plan["algorithm"] in times:
                begin = time.perf_counter()
                compute(plan)
                spent = time.perf_counter() - begin
                times[plan["algorithm"]] = min(times[plan["algorithm"]], spent)
    measured = [
        Measurement(as_plan(computation, plan), times[number], errors[number])
        for plan in candidates
        if (number := plan["algorithm"]) in times
    ]
    return tuple(sorted(measured, key=lambda one: one.seconds))


def clear_choices() -> None:
    """Forget what `autotune` and `load_choices` chose; the model decides again.

    Examples
    --------
    >>> clear_choices()
    """
    _core.clear_choices()
