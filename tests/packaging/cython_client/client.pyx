# cython: language_level=3
"""Somebody's extension: a ReLU over a buffer, and the version, through the C ABI."""
from libc.string cimport memset

from fastconv cimport _capi


def version():
    return _capi.fastconv_version().decode()


def relu(float[::1] values):
    """Clamp `values` in place."""
    cdef _capi.fastconv_tensor tensor
    cdef _capi.fastconv_status status
    memset(&tensor, 0, sizeof(tensor))
    tensor.struct_size = sizeof(tensor)
    tensor.data = &values[0]
    tensor.dtype = _capi.FASTCONV_FLOAT32
    tensor.ndim = 1
    tensor.shape[0] = values.shape[0]
    tensor.strides[0] = 1
    with nogil:
        status = _capi.fastconv_relu(&tensor, &tensor, NULL)
    if status != _capi.FASTCONV_OK:
        raise ValueError(_capi.fastconv_last_error().decode())
