# Python arguments to the parameter structs of fastconv.h. What the values may be is for the
# library to say; here it is only made sure that they are integers, and as many as needed.
from cpython.long cimport PyLong_CheckExact
from cpython.number cimport PyNumber_Index
from libc.stdint cimport int64_t
from libc.string cimport memset

from fastconv._capi cimport *


cdef inline int64_t index(object value) except? -1:
    """An int or whatever has __index__; booleans and floats are not integers."""
    if PyLong_CheckExact(value):
        return value
    if isinstance(value, bool):
        raise TypeError
    return PyNumber_Index(value)


cdef inline str shown(object value):
    """What came, for a message: of an array its shape."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    return repr(value)


cdef inline int integers(int64_t *result, int count, object value, str name, bint one=True,
                         str more="") except -1:
    """`count` integers from a sequence of them or, if `one` will do, from a single int.

    A `count` of 0 reads a single int and nothing else.
    """
    cdef int i
    kind = TypeError
    try:
        if not isinstance(value, (tuple, list)):
            if one:
                result[0] = index(value)
                for i in range(1, count):
                    result[i] = result[0]
                return 0
        elif len(value) != count:
            kind = ValueError
        elif count > 0:
            for i in range(count):
                result[i] = index(value[i])
            return 0
    except TypeError:
        pass
    except OverflowError:
        raise ValueError(f"{name}: {value!r} does not fit 64-bit integers") from None
    expected = f"a tuple of {count} int{'' if count == 1 else 's'}"
    if one:
        expected = f"an int or {expected}" if count > 0 else "an int"
    raise kind(f"{name}: expected {expected}{more}, got {shown(value)}")


cdef inline int as_int(object value, str name) except? -1:
    cdef int64_t result
    integers(&result, 0, value, name)
    if result != <int>result:
        raise ValueError(f"{name}: {value!r} is out of range")
    return result


cdef inline double number(object value, str name) except? -1:
    try:
        return value
    except TypeError:
        raise TypeError(f"{name}: expected a number, got {shown(value)}") from None


cdef inline int padding_mode(int64_t *before, int64_t *after, int count, object value) except -1:
    """The forms of padding: int, ints, (before, after) pairs, "valid" and "same"."""
    cdef int64_t pair[2]
    cdef int i
    if isinstance(value, str):
        if value not in ("valid", "same"):
            raise ValueError(f"padding: expected 'valid', 'same' or integers, got {value!r}")
        return FASTCONV_PADDING_VALID if value == "valid" else FASTCONV_PADDING_SAME
    if (isinstance(value, (tuple, list)) and len(value) == count
            and all([isinstance(item, (tuple, list)) for item in value])):
        for i in range(count):
            integers(pair, 2, value[i], "padding", False, " for each dimension")
            before[i], after[i] = pair[0], pair[1]
        return FASTCONV_PADDING_EXPLICIT
    integers(before, count, value, "padding", True,
             ", as many (before, after) pairs, 'valid' or 'same'")
    for i in range(count):
        after[i] = before[i]
    return FASTCONV_PADDING_EXPLICIT


cdef inline int conv_params(fastconv_conv_params *params, int spatial_ndim, object stride,
                            object padding, object dilation, object groups) except -1:
    memset(params, 0, sizeof(fastconv_conv_params))
    params.struct_size = sizeof(fastconv_conv_params)
    params.spatial_ndim = spatial_ndim
    integers(params.stride, spatial_ndim, stride, "stride")
    params.padding_mode = padding_mode(
        params.pad_before, params.pad_after, spatial_ndim, padding)
    integers(params.dilation, spatial_ndim, dilation, "dilation")
    integers(&params.groups, 0, groups, "groups")
    return 0


cdef inline int window_params(fastconv_window_params *params, int spatial_ndim, object kernel_size,
                              object stride, object padding, object dilation,
                              bint ceil_mode=False) except -1:
    memset(params, 0, sizeof(fastconv_window_params))
    params.struct_size = sizeof(fastconv_window_params)
    params.spatial_ndim = spatial_ndim
    params.ceil_mode = ceil_mode
    integers(params.kernel_size, spatial_ndim, kernel_size, "kernel_size")
    integers(params.stride, spatial_ndim, kernel_size if stride is None else stride, "stride")
    params.padding_mode = padding_mode(
        params.pad_before, params.pad_after, spatial_ndim, padding)
    integers(params.dilation, spatial_ndim, dilation, "dilation")
    return 0
