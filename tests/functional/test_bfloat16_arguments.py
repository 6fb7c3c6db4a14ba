"""What arrays of bfloat16 may look like, and what is refused."""

from __future__ import annotations

import ctypes

import cases
import numpy as np
import pytest
from bfloat16_problems import random, same_bits
from cases import LAYOUTS

from fastconv import functional


def test_dtypes_do_not_mix(rng):
    x, w = random(rng, (1, 4, 5, 5)), random(rng, (8, 4, 3, 3))
    for arguments, message in (
        ((x, w.astype(np.float32)), "weight: expected the dtype of input, bfloat16, got float32"),
        ((x.astype(np.float32), w), "weight: expected the dtype of input, float32, got bfloat16"),
        ((x, w, np.ones(8, np.float32)), "bias: expected the dtype of out, bfloat16, got float32"),
        ((x.view(np.uint16), w), "input: dtype uint16 is not supported"),
        ((x.astype(np.float16), w), "input: dtype float16 is not supported"),
    ):
        with pytest.raises(TypeError, match=message):
            functional.conv2d(*arguments)
    with pytest.raises(TypeError, match="out: expected the dtype of input, bfloat16, got float32"):
        functional.conv2d(x, w, out=np.empty((1, 8, 3, 3), np.float32))


def test_other_functions_refuse_bfloat16(rng):
    x = random(rng, (1, 4, 6, 6))
    for compute in (
        lambda: functional.max_pool2d(x, 2),
        lambda: functional.relu(x),
        lambda: functional.linear(x[0, 0], x[0, 0]),
    ):
        with pytest.raises(TypeError, match="expected float32 or float64, got bfloat16"):
            compute()


def test_what_arrays_may_look_like(rng):
    x, w = random(rng, (2, 6, 7, 9)), random(rng, (8, 6, 3, 3))
    expected = functional.conv2d(x, w)
    for change in LAYOUTS.values():
        assert np.array_equal(functional.conv2d(change(x), change(w)), expected)
    assert np.array_equal(functional.conv2d(cases.unaligned(x), w), expected)
    assert np.array_equal(functional.conv2d(x[0], w), expected[0])
    frozen = expected.copy()
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="out: the array is read-only"):
        functional.conv2d(x, w, out=frozen)


def test_tensors_come_by_dlpack(rng):
    torch = pytest.importorskip("torch")
    x, w = random(rng, (2, 6, 7, 9)), random(rng, (8, 6, 3, 3))
    expected = functional.conv2d(x, w)

    def tensor(a):
        return torch.from_numpy(np.ascontiguousarray(a).view(np.int16)).view(torch.bfloat16)

    y = functional.conv2d(tensor(x), tensor(w))
    assert same_bits(y, expected)
    last = tensor(x).to(memory_format=torch.channels_last)
    assert np.array_equal(functional.conv2d(last, tensor(w)), expected)
    assert np.array_equal(
        functional.conv2d(tensor(x)[:, :, ::2], tensor(w)), functional.conv2d(x[:, :, ::2], w)
    )
    out = torch.empty(expected.shape, dtype=torch.bfloat16)
    assert functional.conv2d(tensor(x), tensor(w), out=out) is out
    assert np.array_equal(out.view(torch.int16).numpy(), expected.view(np.int16))
    with pytest.raises(TypeError, match="weight: cannot view Tensor as a NumPy array"):
        functional.conv2d(tensor(x), tensor(w).requires_grad_())


class Capsule:
    """What another library might hand over: a DLPack tensor without strides."""

    dtype = "bfloat16"

    def __init__(self, array, code=4, bits=16):
        self.fields, self.code, self.bits = array, code, bits

    def __dlpack__(self, **_):
        class Tensor(ctypes.Structure):
            _fields_ = (
                ("data", ctypes.c_void_p),
                ("device", ctypes.c_int32 * 2),
                ("ndim", ctypes.c_int32),
                ("code", ctypes.c_uint8),
                ("bits", ctypes.c_uint8),
                ("lanes", ctypes.c_uint16),
                ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.c_void_p),
                ("offset", ctypes.c_uint64),
                ("context", ctypes.c_void_p),
                ("deleter", ctypes.c_void_p),
            )

        a = self.fields
        self.shape = (ctypes.c_int64 * a.ndim)(*a.shape)
        self.tensor = Tensor(
            a.ctypes.data - 8, (1, 0), a.ndim, self.code, self.bits, 1, self.shape, None, 8
        )
        make = ctypes.pythonapi.PyCapsule_New
        make.restype = ctypes.py_object
        make.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        return make(ctypes.addressof(self.tensor), b"dltensor", None)


def test_a_dlpack_tensor_without_strides_is_dense(rng):
    x, w = random(rng, (2, 6, 7, 9)), random(rng, (8, 6, 3, 3))
    borrowed = Capsule(x)
    assert same_bits(functional.conv2d(borrowed, w), functional.conv2d(x, w))
    with pytest.raises(TypeError, match="input: cannot view Capsule as a NumPy array: expected"):
        functional.conv2d(Capsule(x, bits=8), w)
