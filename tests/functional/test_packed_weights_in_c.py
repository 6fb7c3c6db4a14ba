"""Packed filters and chosen algorithms in the C interface, which checks what it is given."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from ops import FAST

from fastconv.functional import conv2d


class Tensor(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 5),
        ("strides", ctypes.c_int64 * 5),
    )


class Params(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("spatial_ndim", ctypes.c_int32),
        ("padding_mode", ctypes.c_int32),
        ("groups", ctypes.c_int64),
        ("stride", ctypes.c_int64 * 3),
        ("dilation", ctypes.c_int64 * 3),
        ("pads", ctypes.c_int64 * 6),
    )


class Exec(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("num_threads", ctypes.c_int32),
        ("precision", ctypes.c_int32),
        ("workspace", ctypes.c_void_p),
        ("workspace_size", ctypes.c_size_t),
        ("packed_weight", ctypes.c_void_p),
        ("packed_weight_size", ctypes.c_size_t),
        ("algorithm", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
    )


class Info(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("algorithm", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("name", ctypes.c_char * 32),
        ("reason", ctypes.c_char * 160),
        ("relative_cost", ctypes.c_double),
        ("multiplications", ctypes.c_int64),
        ("direct_multiplications", ctypes.c_int64),
        ("workspace_size", ctypes.c_size_t),
        ("packed_size", ctypes.c_size_t),
        ("packed_key", ctypes.c_uint64),
        ("problem_key", ctypes.c_uint64),
    )


def tensor(a):
    strides = [s // a.itemsize for s in a.strides]
    return Tensor(
        ctypes.sizeof(Tensor),
        a.ctypes.data,
        0,
        a.ndim,
        (ctypes.c_int64 * 5)(*a.shape),
        (ctypes.c_int64 * 5)(*strides),
    )


class Client:
    """A C program with one convolution, 16 to `outputs` channels and 3x3."""

    def __init__(self, outputs=16, **options):
        self.library = ctypes.CDLL("libfastconv.so")  # the one that is loaded
        self.library.fastconv_last_error.restype = ctypes.c_char_p
        rng = np.random.default_rng(0)
        self.arrays = [
            rng.standard_normal(shape).astype(np.float32)
            for shape in ((1, outputs, 10, 10), (1, 16, 12, 12), (outputs, 16, 3, 3))
        ]
        self.tensors = [ctypes.byref(tensor(a)) for a in self.arrays]
        one = (ctypes.c_int64 * 3)(1, 1, 1)
        self.params = Params(ctypes.sizeof(Params), 2, 0, 1, one, one)
        self.exec = Exec(ctypes.sizeof(Exec), **options)
        self.info = Info(ctypes.sizeof(Info))

    def plan(self):
        return self.call("conv_plan", ctypes.byref(self.info), 0, *self.tensors)

    def pack(self, size=None):
        size = self.info.packed_size if size is None else size
        memory = np.zeros(self.info.packed_size + 1024, np.uint8)
        begin = -memory.ctypes.data % 64
        buffer, beyond = np.split(memory[begin:], [self.info.packed_size])
        pointer = ctypes.c_void_p(buffer.ctypes.data)
        error = self.call("conv_pack_weight", pointer, ctypes.c_size_t(size), 0, *self.tensors)
        assert not beyond.any()
        return error or buffer

    def run(self, packed=None, size=None):
        if packed is not None:
            self.exec.packed_weight = packed.ctypes.data
            self.exec.packed_weight_size = packed.size if size is None else size
        return self.call("conv_forward", *self.tensors, None)

    def call(self, name, *arguments):
        arguments = (*arguments, ctypes.byref(self.params), ctypes.byref(self.exec))
        if getattr(self.library, f"fastconv_{name}")(*arguments) == 0:
            return None
        return self.library.fastconv_last_error().decode()


@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_a_buffer_that_does_not_fit_is_an_error(isa):
    client, other = Client(), Client(32)
    assert client.plan() is None
    assert other.plan() is None
    assert client.info.packed_key != other.info.packed_key
    assert "buffer: expected" in client.pack(size=client.info.packed_size - 1)
    packed = client.pack()
    assert "packed_weight: expected" in client.run(packed, packed.size - 1)
    assert "packed_weight: expected 64-byte alignment" in client.run(packed[4:], packed.size)
    assert "packed in another form" in client.run(other.pack())
    packed[0] ^= 1
    assert "got other bytes" in client.run(packed)
    packed[0] ^= 1
    expected = conv2d(client.arrays[1], client.arrays[2])
    assert client.run(packed) is None
    assert np.array_equal(client.arrays[0], expected)


@pytest.mark.parametrize("isa", FAST, indirect=True)
def test_an_algorithm_that_does_not_apply_is_an_error(isa):
    client = Client(algorithm=3)  # depthwise
    assert "algorithm: number 3 does not apply" in client.plan()
    assert "algorithm: number 3 does not apply" in client.run()
    client.exec.algorithm = 1000
    assert "algorithm: expected 0 to 143, got 1000" in client.run()


def test_a_caller_of_the_first_version_needs_no_new_fields():
    client = Client(packed_weight=1, algorithm=1000)  # beyond the end of its struct
    client.exec.struct_size = Exec.packed_weight.offset
    assert client.run() is None
    client.exec.struct_size -= 1
    assert "exec: struct_size is" in client.run()
