"""How convolutions are computed: explained, and measured where the model may be wrong.

Which algorithm runs is decided by a model of costs from the shapes, the dtype, the layout, the
precision and the instruction set. `explain` says what it decides and why; `autotune` measures
the candidates on this machine and lets the fastest one run from then on. Neither the batch nor
the threads ever take part, so the bits of an image depend on neither.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Array, Padding, Size

__all__ = ["Measurement", "Plan", "autotune", "clear_choices", "explain", "load_choices"]

#: The environment variable that names the file of measured choices.
CACHE_VARIABLE = "FASTCONV_AUTOTUNE_CACHE"

Computation: TypeAlias = Literal["forward", "backward_input", "backward_weight", "conv_transpose"]
DataFormat: TypeAlias = Literal["channels_first", "channels_last"]
#: An array, or the shape of one.
Operand: TypeAlias = npt.NDArray[Any] | tuple[int, ...]

_FORMAT_VERSION = 1
_WITHIN = 1.6  # of the least modelled cost of a transform: what is worth measuring
_LEAST_GAIN = 0.03  # below this a measured difference is taken for noise
_MOST_ERROR = 1e-4  # of the largest result: what precision "high" promises
_BFLOAT16_ERROR = 2.0**-8  # a neighbour, after the same sum in another order was rounded


@dataclass(frozen=True)
class Plan:
    """What a convolution does; see `explain`.

    Attributes
    ----------
    computation : str
        As it was given.
    algorithm : str
        ``"winograd"``, or direct summation: ``"direct"`` with vectors along the output
        channels, ``"positions"`` along a row of outputs, ``"depthwise"`` along the channels;
        ``"reference"`` for the naive instruction set.
    reason : str
        Why, with the figures. For bfloat16 that is computed by the float32 kernels it begins
        ``"in float32"``.
    relative_cost : float
        By the model; direct summation costs 1.
    multiplications, direct_multiplications : int
        Of one image, by this algorithm and by direct summation.
    workspace : int
        Bytes of scratch, for this batch and the present number of threads.
    packed_size : int
        Bytes that a `functional.PackedWeight` keeps for it; 0 if there is nothing to keep.
    number : int
        Of the algorithm, in the C interface.
    """

    computation: str
    algorithm: str
    reason: str
    relative_cost: float
    multiplications: int
    direct_multiplications: int
    workspace: int
    packed_size: int
    number: int

    def __str__(self) -> str:
        return f"{self.computation}: {self.algorithm}, {self.reason}"


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


# ---- explain


def explain(
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
) -> Plan:
    """Say which algorithm computes a convolution, and why.

    Nothing is computed. The choice depends on the shapes, the dtype, the layout, the precision
    and the instruction set, never on N and the number of threads.

    Parameters
    ----------
    computation : {"forward", "backward_input", "backward_weight", "conv_transpose"}
        `conv2d`, one of its gradients, or `conv_transpose2d`; likewise in one and three
        dimensions.
    input : array or tuple of int
        The input of the convolution, also for its gradients, or its shape: (N, IC, spatial...).
    weight : array or tuple of int
        The filters or their shape, whose length says how many spatial dimensions there are.
    stride, padding, dilation, groups
        As for `functional.conv2d`.
    dtype : dtype, optional
        Of operands that are given as shapes: that of the other operand, else float32. Also
        ``"bfloat16"``, where ml_dtypes is installed.
    data_format : {"channels_first", "channels_last"}
        How an input that is given as a shape lies in memory. The shape itself is
        (N, IC, spatial...) always.
    precision : {"high", "highest"}, optional
        As in `runtime.precision`; the present one if not given.

    Returns
    -------
    Plan
        Its text is one line.

    Raises
    ------
    TypeError, ValueError
        As for `functional.conv2d`, and for a value that is none of those above.

    References
    ----------
    A. Lavin, S. Gray, Fast algorithms for convolutional neural networks, arXiv:1509.09308.

    Examples
    --------
    >>> plan = explain("forward", (1, 64, 56, 56), (64, 64, 1, 1))
    >>> plan.algorithm, plan.multiplications == 64 * 64 * 56 * 56
    ('direct', True)
    >>> print(plan)
    forward: direct, vectors along the outputs: a filter of one tap has no transform
    """
    x, w = _operands(input, weight, dtype, data_format)
    found = _core.conv_plan(
        computation, x, w, stride, padding, dilation, groups, precision, algorithm=0
    )
    assert found is not None  # no particular algorithm was asked for
    return _plan(computation, found)


def _plan(computation: str, found: dict[str, Any]) -> Plan:
    return Plan(
        computation,
        found["name"],
        found["reason"],
        found["relative_cost"],
        found["multiplications"],
        found["direct_multiplications"],
        found["workspace"],
        found["packed_size"],
        found["algorithm"],
    )


def _operands(
    input: Operand, weight: Operand, dtype: npt.DTypeLike | None, data_format: str
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Arrays in place of shapes: of the right strides, but without memory of their own."""
    if data_format not in ("channels_first", "channels_last"):
        raise ValueError(
            f"data_format: expected 'channels_first' or 'channels_last', got {data_format!r}"
        )
    if dtype is None:
        given = [a for a in (input, weight) if not isinstance(a, tuple)]
        dtype = np.asarray(given[0]).dtype if given else np.float32
    if isinstance(dtype, str) and dtype == "bfloat16":  # a name that NumPy learns from ml_dtypes
        from ml_dtypes import bfloat16 as dtype
    if isinstance(input, tuple):
        input = _blank("input", input, np.dtype(dtype), data_format == "channels_last")
    if isinstance(weight, tuple):
        weight = _blank("weight", weight, np.dtype(dtype), False)
    return input, weight


def _blank(
    name: str, shape: tuple[int, ...], dtype: np.dtype[Any], channels_last: bool
) -> npt.NDArray[Any]:
    extents = _core.sizes(shape, len(shape), name)
    if min(extents, default=0) < 0:
        raise ValueError(f"{name}: expected a shape without negative extents, got {shape}")
    order = (*range(2, len(extents)), 1) if channels_last else range(1, len(extents))
    strides, step = [0] * len(extents), dtype.itemsize
    for axis in reversed((0, *order)):
        if axis < len(extents):
            strides[axis] = step
            step *= max(extents[axis], 1)
    return np.lib.stride_tricks.as_strided(np.zeros(1, dtype), extents, strides, writeable=False)


# ---- autotune


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
    x, w = _operands(input, weight, dtype, data_format)
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
        _save_choices(Path(target), {key: best.plan.number})
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
    y = _blank("output", output_shape, x.dtype, last)

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
        Measurement(_plan(computation, plan), times[number], errors[number])
        for plan in candidates
        if (number := plan["algorithm"]) in times
    ]
    return tuple(sorted(measured, key=lambda one: one.seconds))


# ---- the choices of the process, and their file


def clear_choices() -> None:
    """Forget what `autotune` and `load_choices` chose; the model decides again.

    Examples
    --------
    >>> clear_choices()
    """
    _core.clear_choices()


def load_choices(path: str | os.PathLike[str] | None = None) -> int:
    """Use the choices that `autotune` wrote to a file, if they were measured here.

    A file of another format, library version or CPU model is ignored, and so is one that
    cannot be read. The instruction set is part of each entry.

    Parameters
    ----------
    path : path, optional
        The file; without it the one named by FASTCONV_AUTOTUNE_CACHE.

    Returns
    -------
    int
        How many choices were taken over.

    Examples
    --------
    >>> load_choices("no such file")
    0
    """
    target = path if path is not None else os.environ.get(CACHE_VARIABLE)
    taken = 0
    for key, algorithm in _read_choices(Path(target)).items() if target else ():
        with contextlib.suppress(ValueError, MemoryError):
            _core.set_choice(key, algorithm)
            taken += 1
    return taken


def _header() -> dict[str, Any]:
    return {"format": _FORMAT_VERSION, "fastconv": _core.version(), "cpu": _cpu_model()}


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _read_choices(path: Path) -> dict[int, int]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        choices = content.pop("choices")
        if content != _header():
            return {}
        return {int(key, 16): int(algorithm) for key, algorithm in choices.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return {}


def _save_choices(path: Path, choices: dict[int, int]) -> None:
    """Add to the file; a reader sees the old one or the new one, never a part."""
    merged = {**_read_choices(path), **choices}
    named = {f"{key:016x}": algorithm for key, algorithm in sorted(merged.items())}
    text = json.dumps({**_header(), "choices": named}, indent=1)
    with _replacement(path) as file:
        file.write_text(text + "\n", encoding="utf-8")


@contextlib.contextmanager
def _replacement(path: Path) -> Iterator[Path]:
    """Yield a new file beside `path` that takes its place in the end."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    try:
        yield Path(name)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
