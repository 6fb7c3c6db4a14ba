# cython: language_level=3, freethreading_compatible=True
# cython: binding=False, boundscheck=False, wraparound=False, cdivision=True
"""The first client of fastconv.h: arrays and Python arguments in, one C call, arrays out.

Nothing is computed here, and nothing is validated that the C library validates: this module
turns buffers into `fastconv_tensor`, Python arguments into parameter structs and status
codes into exceptions. The GIL is released around every call that does work. Its parts are
files of their own, one a family, included below.
"""
import sys

import numpy as np

cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release,
    PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_SetName
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint16_t, uint64_t, uintptr_t
from libc.stdlib cimport llabs
from libc.string cimport memcmp, memcpy, memset

from fastconv._arguments cimport *
from fastconv._capi cimport *

cdef extern from *:
    """
    /* Threads for the calls of this thread, inside `runtime.threads`; 0 is the default. */
    static _Thread_local int32_t fastconv_threads_here = 0;
    /* The same for precision, inside `runtime.precision`. */
    static _Thread_local int32_t fastconv_precision_here = 0;
    """
    int32_t threads_here "fastconv_threads_here"
    int32_t precision_here "fastconv_precision_here"

cdef extern from *:
    """
    /* A DLPack capsule's contents, by the stable ABI of https://dmlc.github.io/dlpack. */
    typedef struct fastconv_dlpack {
        void *data;
        int32_t device_type, device_id, ndim;
        uint8_t code, bits;
        uint16_t lanes;
        int64_t *shape, *strides;
        uint64_t byte_offset;
        void *context;
        void (*deleter)(struct fastconv_dlpack *);
    } fastconv_dlpack;
    """
    ctypedef struct fastconv_dlpack:
        void *data
        int32_t device_type
        int32_t ndim
        uint8_t code
        uint8_t bits
        uint16_t lanes
        int64_t *shape
        int64_t *strides
        uint64_t byte_offset
        void (*deleter)(fastconv_dlpack *) noexcept

cdef enum:
    MAX_OPERANDS = 10
    MAX_ISAS = 16
    DLPACK_CPU = 1
    DLPACK_BFLOAT = 4

cdef char NATIVE_ORDER = b"<" if sys.byteorder == "little" else b">"
cdef tuple DTYPES = (
    np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64), np.dtype(np.uint8),
    np.dtype(np.int8), np.dtype(np.int32))
cdef int32_t[7] ITEM_SIZES = [4, 8, 8, 1, 1, 4, 2]
cdef tuple COMPUTATIONS = (  # in the order of fastconv_conv_computation
    "forward", "backward_input", "backward_weight", "conv_transpose")
cdef tuple PRECISIONS = ("high", "highest")  # in the order of fastconv_precision
cdef object new_array = np.ndarray
# The names of fastconv_activation, with the defaults of their parameters.
cdef dict ACTIVATIONS = {
    "relu": (FASTCONV_RELU,),
    "leaky_relu": (FASTCONV_LEAKY_RELU, 0.01),
    "clipped_relu": (FASTCONV_CLIPPED_RELU, 0.0, 6.0),
    "relu6": (FASTCONV_CLIPPED_RELU, 0.0, 6.0),
    "hardtanh": (FASTCONV_CLIPPED_RELU, -1.0, 1.0),
    "sigmoid": (FASTCONV_SIGMOID,),
    "tanh": (FASTCONV_TANH,),
    "silu": (FASTCONV_SILU,),
    "gelu": (FASTCONV_GELU,),
    "gelu_tanh": (FASTCONV_GELU_TANH,),
    "elu": (FASTCONV_ELU, 1.0),
    "selu": (FASTCONV_SELU,),
    "softplus": (FASTCONV_SOFTPLUS, 1.0, 20.0),
    "hardsigmoid": (FASTCONV_HARD_SIGMOID,),
    "hardswish": (FASTCONV_HARD_SWISH,),
    "mish": (FASTCONV_MISH,),
}


cdef int check(fastconv_status status) except -1 nogil:
    """Raise the exception that `status` stands for, with the library's own sentence."""
    if status != FASTCONV_OK:
        with gil:
            message = fastconv_last_error().decode("utf-8", "replace")
            if status == FASTCONV_INVALID_ARGUMENT:
                raise ValueError(message)
            if status == FASTCONV_INVALID_TYPE:
                raise TypeError(message)
            if status == FASTCONV_OUT_OF_MEMORY:
                raise MemoryError(message)
            raise RuntimeError(message)
    return 0


include "_arrays.pxi"
include "_convolution.pxi"
include "_dense.pxi"
include "_windows.pxi"
include "_pointwise.pxi"
include "_normalization.pxi"
include "_library.pxi"
