# cython: language_level=3, freethreading_compatible=True
# cython: binding=False, boundscheck=False, wraparound=False, cdivision=True
"""The first client of fastconv.h: arrays and Python arguments in, one C call, arrays out.

Nothing is computed here, and nothing is validated that the C library validates: this file
turns buffers into `fastconv_tensor`, Python arguments into parameter structs and status
codes into exceptions. The GIL is released around every call that does work.
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
from libc.string cimport memcmp, memset

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


# ---- arrays ---------------------------------------------------------------------------

@cython.final
cdef class _Memory:
    """A block of the library's pool, as an exporter of writable bytes."""

    cdef void *data
    cdef Py_ssize_t size

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.size, 0, flags)

    def __dealloc__(self):
        fastconv_free(self.data)


@cython.final
cdef class _Borrowed:
    """The memory of a DLPack tensor as writable bytes; gives the tensor back at its end."""

    cdef fastconv_dlpack *tensor
    cdef void *data  # the element of the lowest address
    cdef Py_ssize_t size

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.size, 0, flags)

    def __dealloc__(self):
        if self.tensor != NULL and self.tensor.deleter != NULL:
            self.tensor.deleter(self.tensor)


cdef object bfloat16_tensor(object value):
    """View a DLPack tensor of bfloat16, for which NumPy has no name, as an array of ml_dtypes'."""
    from ml_dtypes import bfloat16

    cdef _Borrowed memory = _Borrowed.__new__(_Borrowed)
    cdef fastconv_dlpack *tensor
    cdef int64_t below = 0, above = 0, span, items = 1
    cdef bint empty = False
    cdef int i
    capsule = value.__dlpack__()
    tensor = <fastconv_dlpack *> PyCapsule_GetPointer(capsule, "dltensor")
    if (tensor.device_type != DLPACK_CPU or tensor.code != DLPACK_BFLOAT or tensor.bits != 16
            or tensor.lanes != 1):
        raise TypeError("expected a bfloat16 tensor on the CPU")
    PyCapsule_SetName(capsule, "used_dltensor")
    memory.tensor = tensor
    strides = [0] * tensor.ndim
    for i in reversed(range(tensor.ndim)):
        strides[i] = tensor.strides[i] if tensor.strides != NULL else items
        items *= tensor.shape[i]
        empty |= tensor.shape[i] == 0
        span = (tensor.shape[i] - 1) * <int64_t> strides[i]
        below += min(span, 0)
        above += max(span, 0)
    memory.size = 0 if empty else (above - below + 1) * sizeof(uint16_t)
    memory.data = <char *> tensor.data + tensor.byte_offset + below * <int64_t> sizeof(uint16_t)
    return new_array(as_tuple(tensor.shape, tensor.ndim), bfloat16, memory,
                     0 if empty else -below * <int64_t> sizeof(uint16_t),
                     tuple([step * 2 for step in strides]))


cdef object as_array(object value, str name, bint writable):
    """View an object without the buffer protocol as an array; sequences are converted."""
    dlpack = hasattr(value, "__dlpack__")
    if writable and not dlpack:
        raise TypeError(f"{name}: expected a writable array, got {type(value).__name__}")
    try:
        if dlpack and (writable or not hasattr(value, "__array__")):
            array = np.from_dlpack(value)
        else:
            array = np.asarray(value)
    except Exception as error:
        array = None
        if dlpack and str(getattr(value, "dtype", "")).endswith("bfloat16"):
            try:
                array = np.asarray(value) if writable else None
            except TypeError:
                pass  # what could be asked for a read-only view of itself is one
            try:
                array = bfloat16_tensor(value) if array is None else array
            except Exception as other:
                error = other
        if array is None:
            raise TypeError(f"{name}: cannot view {type(value).__name__} as a NumPy array: "
                            f"{error}") from error
    if array.dtype.hasobject:
        raise TypeError(f"{name}: expected an array, got {type(value).__name__}")
    return array


cdef object bfloat16_bits(object array):
    """An array whose elements NumPy calls bfloat16, and buffers have no code for, as integers."""
    if isinstance(array, np.ndarray) and array.dtype.name == "bfloat16" and array.itemsize == 2:
        return array.view(np.uint16)
    return None


cdef object unsupported(object array, str name, bint writable=False, bint quantized=False):
    """The exception for a buffer that is read-only or whose dtype is none of ours."""
    try:
        if writable and memoryview(array).readonly:
            return ValueError(f"{name}: the array is read-only")
    except ValueError:
        pass  # a dtype that buffers do not have
    expected = "int64" if name in ("indices", "target") else "float32 or float64"
    if name == "argmax":
        expected = "uint8"
    elif quantized:
        expected = "uint8 or int8, float32 of scales, int32 of bias"
    return TypeError(f"{name}: dtype {np.asarray(array).dtype} is not supported; "
                     f"expected {expected} in native byte order")


cdef int dtype_code(const Py_buffer *view) noexcept:
    """The `fastconv_dtype` of a buffer; -1 for any other dtype or a foreign byte order."""
    cdef const char *code = view.format
    if code == NULL:
        return -1
    if code[0] == b"@" or code[0] == b"=" or code[0] == NATIVE_ORDER:
        code += 1
    if code[0] == 0 or code[1] != 0:
        return -1
    if code[0] == b"f" and view.itemsize == 4:
        return FASTCONV_FLOAT32
    if code[0] == b"d" and view.itemsize == 8:
        return FASTCONV_FLOAT64
    if code[0] == b"B":
        return FASTCONV_UINT8
    if code[0] == b"b":
        return FASTCONV_INT8
    if code[0] == b"i" and view.itemsize == 4:
        return FASTCONV_INT32
    return FASTCONV_INT64 if code[0] in (b"l", b"q") and view.itemsize == 8 else -1


cdef int64_t step(const fastconv_tensor *x, int axis) noexcept:
    """How far apart neighbours along an axis are; those without neighbours are farthest."""
    cdef bint neighbours = x.shape[axis] > 1 and x.strides[axis] != 0
    return llabs(x.strides[axis]) if neighbours else INT64_MAX


cdef bint memory_order(int *axes, int ndim, const fastconv_tensor *like, bint exactly) noexcept:
    """The axes of a new array from fastest to slowest; whether they are any but planar.

    Channels-last if `like` is, or the very order of `like` for elementwise functions.
    """
    cdef bint permuted = False
    cdef int axis, i, j
    for i in range(ndim):
        axes[i] = ndim - 1 - i
    if like == NULL or like.ndim != ndim:
        return False
    for i in range(1, ndim):  # insertion sort
        axis, j = axes[i], i
        while j > 0 and step(like, axis) < step(like, axes[j - 1]):
            axes[j] = axes[j - 1]
            j -= 1
        axes[j] = axis
        permuted |= j != i
    if permuted and not exactly:
        permuted = axes[0] == 1 and axes[1] > 1 and step(like, axes[1]) < INT64_MAX
        for i in range(ndim):
            axes[i] = ndim - i if permuted else ndim - 1 - i
        if permuted:
            axes[0], axes[ndim - 1] = 1, 0
    return permuted


@cython.final
cdef class PackedWeight:
    """Filters that are packed once for each way in which convolutions read them.

    A convolution packs its filters anew at every call, or transforms them, because it cannot
    know whether they have changed since: a training step changes them in place. For small
    images under many filters that is much of the time. Where they do not change, wrap them:
    a `PackedWeight` stands for `weight` in `conv1d`, `conv2d`, `conv3d`, their transposes and
    `fastconv.grad.conv1d_input`, `conv2d_input` and `conv3d_input`, with the same bits.

    The first call of each kind packs; later ones with any batch or number of threads read
    what it left. The packed forms take memory beside `weight`: as much again, or four
    times that for Winograd's F(4x4, 3x3). It may be used by many threads at once.

    Parameters
    ----------
    weight : array
        Filters, as the functions take them. No copy is made. After its values have changed
        call `update` or `invalidate`; until then calls may read the old ones.

    Raises
    ------
    TypeError
        If `weight` is no array, or a `PackedWeight` already.

    Examples
    --------
    >>> filters = np.ones((2, 1, 3, 3), np.float32)
    >>> packed = PackedWeight(filters)
    >>> image = np.ones((1, 1, 4, 4), np.float32)
    >>> float(conv2d(image, packed).sum())
    72.0
    >>> filters *= 2
    >>> packed.invalidate()
    >>> float(conv2d(image, packed).sum())
    144.0
    """

    # The array and its packed forms by key, replaced together: a call that has begun packs the
    # array that it reads, into the forms of that array.
    cdef tuple state

    def __init__(self, weight):
        self.update(weight)

    def update(self, weight):
        """Take other filters in place of the present ones."""
        if type(weight) is PackedWeight:
            raise TypeError("weight: expected an array, got PackedWeight")
        if not PyObject_CheckBuffer(weight):
            weight = as_array(weight, "weight", False)
        with cython.critical_section(self):
            self.state = (weight, {})

    def invalidate(self):
        """Forget the packed forms, because the values of the array have changed."""
        self.update(self.weight)

    @property
    def weight(self):
        """The array, as it was given."""
        return self.snapshot()[0]

    @property
    def nbytes(self):
        """Bytes that the packed forms take."""
        return sum([(<_Memory> block).size for block in tuple(self.snapshot()[1].values())])

    cdef tuple snapshot(self):
        with cython.critical_section(self):
            return self.state


cdef tuple as_tuple(const int64_t *values, int count):
    cdef int i
    return tuple([values[i] for i in range(count)])


@cython.final
@cython.no_gc
cdef class _Call:
    """The arrays of one call to the library; their buffers are released with it."""

    cdef fastconv_exec context
    cdef object result  # of the last `output`
    cdef object bfloat16  # NumPy's dtype of the operands, if it is that
    cdef bint unbatched  # the first operand came without a batch dimension
    cdef bint quantized  # operands may be bytes
    cdef tuple packed  # of a PackedWeight: its state
    cdef _Memory filters  # its form that the call reads
    cdef int count
    cdef fastconv_tensor tensors[MAX_OPERANDS]
    cdef Py_buffer views[MAX_OPERANDS]

    def __cinit__(self):
        self.context.struct_size = sizeof(fastconv_exec)
        self.context.num_threads = threads_here
        self.context.precision = precision_here

    def __dealloc__(self):
        cdef int i
        for i in range(self.count):
            PyBuffer_Release(&self.views[i])

    cdef fastconv_tensor *take(self, object array, str name, int ndim=-1,
                               bint writable=False) except NULL:
        """The memory of an argument, which gets a batch of 1 if it is one short of `ndim`.

        Inputs whose strides are no whole items, or whose items are not aligned, are copied.
        """
        cdef Py_buffer *view = &self.views[self.count]
        cdef fastconv_tensor *tensor = &self.tensors[self.count]
        cdef bint short, whole
        cdef int i, flags = PyBUF_FORMAT | PyBUF_STRIDES | (PyBUF_WRITABLE if writable else 0)
        bits = None
        if not PyObject_CheckBuffer(array):
            array = as_array(array, name, writable)
        try:
            PyObject_GetBuffer(array, view, flags)
        except (BufferError, ValueError):
            bits = bfloat16_bits(array)
            if bits is None:
                raise unsupported(array, name, writable, self.quantized) from None
            if writable and not bits.flags.writeable:
                raise ValueError(f"{name}: the array is read-only") from None
            PyObject_GetBuffer(bits, view, flags)
            self.bfloat16 = array.dtype
        self.count += 1
        tensor.dtype = dtype_code(view) if bits is None else FASTCONV_BFLOAT16
        if tensor.dtype < 0 or not self.allows(tensor.dtype, array, name):
            raise unsupported(array, name, False, self.quantized)
        if view.ndim > FASTCONV_MAX_NDIM:
            raise ValueError(f"{name}: expected at most {FASTCONV_MAX_NDIM} dimensions, "
                             f"got shape {np.shape(array)}")
        short = view.ndim == ndim - 1
        whole = <uintptr_t>view.buf % <uintptr_t>view.itemsize == 0
        tensor.struct_size = sizeof(fastconv_tensor)
        tensor.data = view.buf
        tensor.ndim = view.ndim + short
        tensor.shape[0] = tensor.strides[0] = 1
        for i in range(view.ndim):
            tensor.shape[i + short] = view.shape[i]
            tensor.strides[i + short] = view.strides[i] / view.itemsize
            whole &= view.strides[i] % view.itemsize == 0
        if whole:
            self.unbatched |= short and self.count == 1
            return tensor
        if writable:
            raise ValueError(f"{name}: the array is not aligned to its {view.itemsize}-byte items")
        self.count -= 1
        PyBuffer_Release(view)
        return self.take(np.array(array, order="K"), name, ndim)

    cdef bint allows(self, int dtype, object array, str name) noexcept:
        """Whether an argument may have a dtype that the library knows."""
        if dtype in (FASTCONV_UINT8, FASTCONV_INT8, FASTCONV_INT32):
            if self.quantized:
                return not isinstance(array, (bytes, bytearray))  # which are text, not numbers
            return dtype == FASTCONV_UINT8 and name == "argmax"
        return True

    cdef fastconv_tensor *take_weight(self, object weight) except NULL:
        if type(weight) is PackedWeight:
            self.packed = (<PackedWeight> weight).snapshot()
            weight = self.packed[0]
        return self.take(weight, "weight")

    cdef int use_packed(self, fastconv_conv_computation computation, const fastconv_tensor *y,
                        const fastconv_tensor *x, const fastconv_tensor *w,
                        const fastconv_conv_params *params) except -1:
        """Let the call read packed filters; pack them if it is the first to need that form."""
        cdef fastconv_conv_plan_info info
        cdef dict forms = self.packed[1]
        cdef _Memory block
        if x.shape[0] == 0:
            return 0  # nothing is computed, and an empty array has no layout
        info.struct_size = sizeof(info)
        if fastconv_conv_plan(&info, computation, y, x, w, params, &self.context) != FASTCONV_OK:
            return 0  # the call will say so, in its own terms
        if info.packed_size == 0:
            return 0
        block = forms.get(info.packed_key)
        if block is None:
            block = _Memory.__new__(_Memory)
            block.size = info.packed_size
            check(fastconv_alloc(&block.data, block.size))
            with nogil:
                check(fastconv_conv_pack_weight(block.data, block.size, computation, y, x, w,
                                                params, &self.context))
            block = forms.setdefault(info.packed_key, block)
        self.filters = block
        self.context.packed_weight = block.data
        self.context.packed_weight_size = block.size
        self.context.algorithm = info.algorithm
        return 0

    cdef fastconv_tensor *output(self, object out, int dtype, int ndim, const int64_t *shape,
                                 const fastconv_tensor *like=NULL,
                                 bint elementwise=False) except NULL:
        """The memory of `out` or of a new array, which is left in `result`.

        A new array has the memory layout of `like` and, if that came without, no batch
        dimension; without `like` it is contiguous.
        """
        cdef fastconv_tensor *tensor = &self.tensors[self.count]
        cdef int64_t itemsize = ITEM_SIZES[dtype]
        cdef int64_t items = 1
        cdef int64_t strides[FASTCONV_MAX_NDIM]
        cdef int axes[FASTCONV_MAX_NDIM]
        cdef int first = like != NULL and self.unbatched
        cdef bint permuted
        cdef int axis, i
        cdef _Memory memory
        self.result = out
        if out is not None:
            tensor = self.take(out, "out", ndim if first else -1, True)
            if tensor.ndim != ndim or memcmp(tensor.shape, shape, ndim * sizeof(int64_t)) != 0:
                raise ValueError(f"out: expected shape {as_tuple(shape + first, ndim - first)}, "
                                 f"got {as_tuple(tensor.shape + first, tensor.ndim - first)}")
            return tensor
        permuted = memory_order(axes, ndim, like, elementwise)
        for i in range(ndim):
            axis = axes[i]
            tensor.shape[axis] = shape[axis]
            tensor.strides[axis] = items
            strides[axis] = items * itemsize
            if shape[axis] < 0 or items > INT64_MAX / itemsize / max(shape[axis], 1):
                raise ValueError(f"shape {as_tuple(shape, ndim)} is negative or too large")
            items *= shape[axis]
        memory = _Memory.__new__(_Memory)
        memory.size = items * itemsize
        check(fastconv_alloc(&memory.data, memory.size))
        self.count += 1  # its view stays empty
        tensor.struct_size = sizeof(fastconv_tensor)
        tensor.data = memory.data
        tensor.dtype = dtype
        tensor.ndim = ndim
        extents = as_tuple(shape + first, ndim - first)
        element = self.bfloat16 if dtype == FASTCONV_BFLOAT16 else DTYPES[dtype]
        if permuted:
            self.result = new_array(extents, element, memory, 0,
                                    as_tuple(strides + first, ndim - first))
        else:
            self.result = new_array(extents, element, memory)
        return tensor


# ---- convolution ----------------------------------------------------------------------

@cython.final
@cython.no_gc
cdef class _Activation:
    """A name, or a name and as many parameters as wanted, as the library takes it."""

    cdef fastconv_activation kind
    cdef double[2] parameters

    def __cinit__(self, value):
        cdef int i
        name = value[0] if isinstance(value, tuple) and value else value
        given = value[1:] if isinstance(value, tuple) else ()
        known = ACTIVATIONS.get(name) if isinstance(name, str) else None
        if known is None:
            raise ValueError("activation: expected None, a tuple of a name and numbers, or one of "
                             f"{', '.join(map(repr, ACTIVATIONS))}, got {value!r}")
        if len(given) >= len(known) or (given and name == "relu6"):
            count = 0 if name == "relu6" else len(known) - 1
            raise ValueError(f"activation: {name} has {count} parameter{'s'[:count != 1]}, "
                             f"got {value!r}")
        self.kind = known[0]
        for i in range(len(known) - 1):
            self.parameters[i] = number(
                given[i] if i < len(given) else known[i + 1], "activation")


cdef int epilogue(fastconv_epilogue *result, _Call call, int ndim, object bias,
                  object activation, object residual) except -1:
    memset(result, 0, sizeof(fastconv_epilogue))
    result.struct_size = sizeof(fastconv_epilogue)
    if bias is not None:
        result.bias = call.take(bias, "bias")
    if residual is not None:
        result.residual = call.take(residual, "residual", ndim)
    cdef _Activation function
    if activation is not None:
        function = _Activation(activation)
        result.activation = function.kind
        result.alpha, result.beta = function.parameters[0], function.parameters[1]
    return 0


def conv_forward(int nd, input, weight, bias, stride, padding, dilation, groups, activation,
                 residual, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_conv_params params
    cdef fastconv_epilogue end
    cdef int64_t shape[5]
    conv_params(&params, nd, stride, padding, dilation, groups)
    cdef fastconv_tensor *x = call.take(input, "input", nd + 2)
    cdef fastconv_tensor *w = call.take_weight(weight)
    epilogue(&end, call, nd + 2, bias, activation, residual)
    check(fastconv_conv_output_shape(shape, x, w, &params))
    cdef fastconv_tensor *y = call.output(out, x.dtype, x.ndim, shape, x)
    if call.packed is not None:
        call.use_packed(FASTCONV_FORWARD, y, x, w, &params)
    with nogil:
        check(fastconv_conv_forward(y, x, w, &end, &params, &call.context))
    return call.result


cdef int quantization(fastconv_quantization *result, _Call call, object scale, object zero_point,
                      str name) except -1:
    memset(result, 0, sizeof(fastconv_quantization))
    result.struct_size = sizeof(fastconv_quantization)
    result.scale = call.take(scale, name + "_scale")
    if zero_point is not None:
        result.zero_point = call.take(zero_point, name + "_zero_point")
    return 0


def qlinear_conv(input, input_scale, input_zero_point, weight, weight_scale, weight_zero_point,
                 output_scale, output_zero_point, bias, stride, padding, dilation, groups, out):
    """Scales and zero points are arrays; zero points may be None."""
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_conv_params params
    cdef fastconv_quantization xq, wq, yq
    cdef int64_t shape[5]
    cdef int nd = np.ndim(weight) - 2
    call.quantized = True
    if not 1 <= nd <= 3:
        raise ValueError(f"weight: expected 3 to 5 dimensions, got {nd + 2}")
    conv_params(&params, nd, stride, padding, dilation, groups)
    cdef fastconv_tensor *x = call.take(input, "input", nd + 2)
    cdef fastconv_tensor *w = call.take(weight, "weight")
    cdef fastconv_tensor *b = optional(call, bias, "bias")
    quantization(&xq, call, input_scale, input_zero_point, "input")
    quantization(&wq, call, weight_scale, weight_zero_point, "weight")
    quantization(&yq, call, output_scale, output_zero_point, "output")
    check(fastconv_conv_quantized_output_shape(shape, x, w, &params))
    cdef int dtype = x.dtype if yq.zero_point == NULL else yq.zero_point.dtype
    cdef fastconv_tensor *y = call.output(out, dtype, x.ndim, shape, x)
    with nogil:
        check(fastconv_conv_quantized_forward(
            y, x, w, b, &yq, &xq, &wq, &params, &call.context))
    return call.result


def conv_transpose_forward(int nd, input, weight, bias, stride, padding, output_padding, groups,
                           dilation, activation, residual, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_conv_params params
    cdef fastconv_epilogue end
    cdef int64_t shape[5]
    cdef int64_t extra[3]
    conv_params(&params, nd, stride, padding, dilation, groups)
    integers(extra, nd, output_padding, "output_padding")
    cdef fastconv_tensor *x = call.take(input, "input", nd + 2)
    cdef fastconv_tensor *w = call.take_weight(weight)
    epilogue(&end, call, nd + 2, bias, activation, residual)
    check(fastconv_conv_transpose_output_shape(shape, x, w, &params, extra))
    cdef fastconv_tensor *y = call.output(out, x.dtype, x.ndim, shape, x)
    if call.packed is not None:
        call.use_packed(FASTCONV_CONV_TRANSPOSE, y, x, w, &params)
    with nogil:
        check(fastconv_conv_transpose_forward(y, x, w, &end, &params, &call.context))
    return call.result


def conv_backward_input(int nd, input_size, weight, grad_output, stride, padding, dilation,
                        groups, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_conv_params params
    cdef int64_t shape[5]
    conv_params(&params, nd, stride, padding, dilation, groups)
    cdef fastconv_tensor *dy = call.take(grad_output, "grad_output", nd + 2)
    cdef fastconv_tensor *w = call.take_weight(weight)
    shape[0] = 1
    integers(shape + call.unbatched, nd + 2 - call.unbatched, input_size, "input_size", False)
    cdef fastconv_tensor *dx = call.output(out, dy.dtype, nd + 2, shape, dy)
    if call.packed is not None:
        call.use_packed(FASTCONV_BACKWARD_INPUT, dy, dx, w, &params)
    with nogil:
        check(fastconv_conv_backward_input(dx, dy, w, &params, &call.context))
    return call.result


def conv_backward_weight(int nd, input, weight_size, grad_output, stride, padding, dilation,
                         groups, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_conv_params params
    cdef int64_t shape[5]
    conv_params(&params, nd, stride, padding, dilation, groups)
    cdef fastconv_tensor *x = call.take(input, "input", nd + 2)
    cdef fastconv_tensor *dy = call.take(grad_output, "grad_output", nd + 2)
    integers(shape, nd + 2, weight_size, "weight_size", False)
    cdef fastconv_tensor *dw = call.output(out, dy.dtype, nd + 2, shape)
    with nogil:
        check(fastconv_conv_backward_weight(dw, dy, x, &params, &call.context))
    return call.result


def conv_backward_bias(int nd, grad_output, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_tensor *dy = call.take(grad_output, "grad_output", nd + 2)
    if dy.ndim != nd + 2:
        raise ValueError(f"grad_output: expected {nd + 2} dimensions, got shape "
                         f"{as_tuple(dy.shape, dy.ndim)}")
    cdef fastconv_tensor *db = call.output(out, dy.dtype, 1, dy.shape + 1)
    with nogil:
        check(fastconv_conv_backward_bias(db, dy, &call.context))
    return call.result


def conv_plan(computation, input, weight, stride, padding, dilation, groups, precision,
              algorithm):
    """The fields of `fastconv_conv_plan_info`; None if the algorithm asked for does not apply."""
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_conv_params params
    cdef fastconv_conv_plan_info info
    cdef fastconv_conv_computation which = choose_computation(computation)
    cdef fastconv_tensor y
    cdef fastconv_status status
    cdef int axes[5]
    cdef int64_t items = 1
    cdef int64_t *no_padding = [0, 0, 0]
    cdef int nd, i
    cdef fastconv_tensor *w = call.take(weight, "weight")
    nd = w.ndim - 2
    if not 1 <= nd <= 3:
        raise ValueError(f"weight: expected 3 to 5 dimensions, got {w.ndim}")
    cdef fastconv_tensor *x = call.take(input, "input", nd + 2)
    conv_params(&params, nd, stride, padding, dilation, groups)
    # An output that nobody writes, with the layout that a call would give it.
    y = x[0]
    if which == FASTCONV_CONV_TRANSPOSE:
        check(fastconv_conv_transpose_output_shape(y.shape, x, w, &params, no_padding))
    else:
        check(fastconv_conv_output_shape(y.shape, x, w, &params))
    memory_order(axes, y.ndim, x, False)
    for i in range(y.ndim):
        y.strides[axes[i]] = items
        items *= y.shape[axes[i]]
    if precision is not None:
        call.context.precision = precision_code(precision)
    call.context.algorithm = as_int(algorithm, "algorithm")
    info.struct_size = sizeof(info)
    status = fastconv_conv_plan(&info, which, &y, x, w, &params, &call.context)
    if status == FASTCONV_UNSUPPORTED:
        return None
    check(status)
    return {
        "algorithm": info.algorithm, "name": info.name.decode(), "reason": info.reason.decode(),
        "relative_cost": info.relative_cost, "multiplications": info.multiplications,
        "direct_multiplications": info.direct_multiplications,
        "workspace": info.workspace_size, "packed_size": info.packed_size,
        "packed_key": info.packed_key, "problem_key": info.problem_key,
        "output_shape": as_tuple(y.shape, y.ndim),
    }


def conv_by(algorithm, computation, output, input, weight, stride, padding, dilation, groups,
            precision):
    """One of the computations by one algorithm, between the three arrays given."""
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_conv_params params
    cdef fastconv_conv_computation which = choose_computation(computation)
    cdef fastconv_tensor *w = call.take(weight, "weight", -1, which == FASTCONV_BACKWARD_WEIGHT)
    cdef int ndim = w.ndim
    cdef fastconv_tensor *x = call.take(
        input, "input", ndim, which == FASTCONV_BACKWARD_INPUT)
    cdef fastconv_tensor *y = call.take(
        output, "output", ndim, which in (FASTCONV_FORWARD, FASTCONV_CONV_TRANSPOSE))
    conv_params(&params, ndim - 2, stride, padding, dilation, groups)
    if precision is not None:
        call.context.precision = precision_code(precision)
    call.context.algorithm = as_int(algorithm, "algorithm")
    with nogil:
        if which == FASTCONV_FORWARD:
            check(fastconv_conv_forward(y, x, w, NULL, &params, &call.context))
        elif which == FASTCONV_BACKWARD_INPUT:
            check(fastconv_conv_backward_input(x, y, w, &params, &call.context))
        elif which == FASTCONV_BACKWARD_WEIGHT:
            check(fastconv_conv_backward_weight(w, y, x, &params, &call.context))
        else:
            check(fastconv_conv_transpose_forward(y, x, w, NULL, &params, &call.context))


cdef fastconv_conv_computation choose_computation(object name) except *:
    if name not in COMPUTATIONS:
        raise ValueError(f"computation: expected one of {', '.join(COMPUTATIONS)}, got {name!r}")
    return <fastconv_conv_computation> <int> COMPUTATIONS.index(name)


cdef int precision_code(object name) except -1:
    if name not in PRECISIONS:
        raise ValueError(f"precision: expected 'high' or 'highest', got {name!r}")
    return PRECISIONS.index(name)


def conv_algorithms():
    return FASTCONV_CONV_ALGORITHMS


def set_choice(problem_key, algorithm):
    check(fastconv_conv_set_choice(problem_key, as_int(algorithm, "algorithm")))


def clear_choices():
    fastconv_conv_clear_choices()


# ---- dense ----------------------------------------------------------------------------

def linear_forward(input, weight, bias, activation, residual, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_epilogue end
    cdef fastconv_tensor *x = call.take(input, "input", 2)
    cdef fastconv_tensor *w = call.take(weight, "weight")
    epilogue(&end, call, 2, bias, activation, residual)
    cdef int64_t *shape = [x.shape[0], w.shape[0]]
    cdef fastconv_tensor *y = call.output(out, x.dtype, 2, shape, x)
    with nogil:
        check(fastconv_linear_forward(y, x, w, &end, &call.context))
    return call.result


def linear_backward_input(grad_output, weight, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_tensor *dy = call.take(grad_output, "grad_output", 2)
    cdef fastconv_tensor *w = call.take(weight, "weight")
    cdef int64_t *shape = [dy.shape[0], w.shape[1]]
    cdef fastconv_tensor *dx = call.output(out, dy.dtype, 2, shape, dy)
    with nogil:
        check(fastconv_linear_backward_input(dx, dy, w, &call.context))
    return call.result


def linear_backward_weight(grad_output, input, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_tensor *dy = call.take(grad_output, "grad_output", 2)
    cdef fastconv_tensor *x = call.take(input, "input", 2)
    cdef int64_t *shape = [dy.shape[1], x.shape[1]]
    cdef fastconv_tensor *dw = call.output(out, dy.dtype, 2, shape)
    with nogil:
        check(fastconv_linear_backward_weight(dw, dy, x, &call.context))
    return call.result


# ---- windows --------------------------------------------------------------------------

cdef int divisor(int64_t *result, object divisor_override) except -1:
    """The argument of average pooling, 0 for None."""
    result[0] = 0
    if divisor_override is not None:
        integers(result, 0, divisor_override, "divisor_override")
        if result[0] < 1:
            raise ValueError(
                f"divisor_override: expected a positive integer, got {divisor_override}")
    return 0


def max_pool_forward(int nd, input, kernel_size, stride, padding, dilation, bint ceil_mode,
                     bint return_indices, bint return_argmax, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_window_params params
    cdef int64_t shape[5]
    cdef fastconv_tensor *places = NULL
    if return_indices and return_argmax:
        raise ValueError("return_argmax: expected False with return_indices, got True")
    window_params(&params, nd, kernel_size, stride, padding, dilation, ceil_mode)
    cdef fastconv_tensor *x = call.take(input, "input", nd + 2)
    check(fastconv_pool_output_shape(shape, x, &params))
    cdef fastconv_tensor *y = call.output(out, x.dtype, x.ndim, shape, x)
    result = call.result
    if return_indices or return_argmax:
        places = call.output(
            None, FASTCONV_INT64 if return_indices else FASTCONV_UINT8, x.ndim, shape, x)
        result = (result, call.result)
    with nogil:
        if return_argmax:
            check(fastconv_max_pool_forward_argmax(y, places, x, &params, &call.context))
        else:
            check(fastconv_max_pool_forward(y, places, x, &params, &call.context))
    return result


def max_pool_backward(int nd, grad_output, indices, input_size, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef int64_t shape[5]
    cdef fastconv_tensor *dy = call.take(grad_output, "grad_output", nd + 2)
    cdef fastconv_tensor *at = call.take(indices, "indices", nd + 2)
    shape[0] = 1
    integers(shape + call.unbatched, nd + 2 - call.unbatched, input_size, "input_size", False)
    cdef fastconv_tensor *dx = call.output(out, dy.dtype, nd + 2, shape, dy)
    with nogil:
        check(fastconv_max_pool_backward(dx, dy, at, &call.context))
    return call.result


def max_pool_backward_argmax(int nd, grad_output, argmax, input_size, kernel_size, stride, padding,
                             dilation, bint ceil_mode, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_window_params params
    cdef int64_t shape[5]
    window_params(&params, nd, kernel_size, stride, padding, dilation, ceil_mode)
    cdef fastconv_tensor *dy = call.take(grad_output, "grad_output", nd + 2)
    cdef fastconv_tensor *places = call.take(argmax, "argmax", nd + 2)
    shape[0] = 1
    integers(shape + call.unbatched, nd + 2 - call.unbatched, input_size, "input_size", False)
    cdef fastconv_tensor *dx = call.output(out, dy.dtype, nd + 2, shape, dy)
    with nogil:
        check(fastconv_max_pool_backward_argmax(dx, dy, places, &params, &call.context))
    return call.result


def avg_pool_forward(int nd, input, kernel_size, stride, padding, bint ceil_mode,
                     bint count_include_pad, divisor_override, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_window_params params
    cdef int64_t shape[5]
    cdef int64_t override
    window_params(&params, nd, kernel_size, stride, padding, 1, ceil_mode)
    divisor(&override, divisor_override)
    cdef fastconv_tensor *x = call.take(input, "input", nd + 2)
    check(fastconv_pool_output_shape(shape, x, &params))
    cdef fastconv_tensor *y = call.output(out, x.dtype, x.ndim, shape, x)
    with nogil:
        check(fastconv_avg_pool_forward(
            y, x, &params, count_include_pad, override, &call.context))
    return call.result


def avg_pool_backward(int nd, grad_output, input_size, kernel_size, stride, padding,
                      bint ceil_mode, bint count_include_pad, divisor_override, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_window_params params
    cdef int64_t shape[5]
    cdef int64_t override
    window_params(&params, nd, kernel_size, stride, padding, 1, ceil_mode)
    divisor(&override, divisor_override)
    cdef fastconv_tensor *dy = call.take(grad_output, "grad_output", nd + 2)
    shape[0] = 1
    integers(shape + call.unbatched, nd + 2 - call.unbatched, input_size, "input_size", False)
    cdef fastconv_tensor *dx = call.output(out, dy.dtype, nd + 2, shape, dy)
    with nogil:
        check(fastconv_avg_pool_backward(
            dx, dy, &params, count_include_pad, override, &call.context))
    return call.result


def adaptive_pool_forward(int nd, bint maximum, input, output_size, bint return_indices, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef int64_t shape[5]
    cdef int i
    cdef fastconv_tensor *indices = NULL
    cdef fastconv_tensor *x = call.take(input, "input", nd + 2)
    if x.ndim != nd + 2:
        raise ValueError(f"input: expected {nd + 1} or {nd + 2} dimensions, "
                         f"got shape {np.shape(input)}")
    if isinstance(output_size, (tuple, list)) and len(output_size) == nd:
        output_size = [x.shape[i + 2] if output_size[i] is None else output_size[i]
                       for i in range(nd)]
    shape[0], shape[1] = x.shape[0], x.shape[1]
    integers(shape + 2, nd, output_size, "output_size")
    for i in range(nd):
        if shape[i + 2] < 1:
            raise ValueError(f"output_size: expected positive integers, got {output_size}")
    cdef fastconv_tensor *y = call.output(out, x.dtype, x.ndim, shape, x)
    result = call.result
    if return_indices:
        indices = call.output(None, FASTCONV_INT64, x.ndim, shape, x)
        result = (result, call.result)
    with nogil:
        if maximum:
            check(fastconv_adaptive_max_pool_forward(y, indices, x, &call.context))
        else:
            check(fastconv_adaptive_avg_pool_forward(y, x, &call.context))
    return result


def adaptive_avg_pool_backward(int nd, grad_output, input_size, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef int64_t shape[5]
    cdef fastconv_tensor *dy = call.take(grad_output, "grad_output", nd + 2)
    shape[0] = 1
    integers(shape + call.unbatched, nd + 2 - call.unbatched, input_size, "input_size", False)
    cdef fastconv_tensor *dx = call.output(out, dy.dtype, nd + 2, shape, dy)
    with nogil:
        check(fastconv_adaptive_avg_pool_backward(dx, dy, &call.context))
    return call.result


def max_unpool(int nd, input, indices, output_size, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef int64_t shape[5]
    cdef fastconv_tensor *x = call.take(input, "input", nd + 2)
    cdef fastconv_tensor *at = call.take(indices, "indices", nd + 2)
    shape[0], shape[1] = x.shape[0], x.shape[1]
    integers(shape + 2, nd, output_size, "output_size", False)
    cdef fastconv_tensor *y = call.output(out, x.dtype, nd + 2, shape, x)
    with nogil:
        check(fastconv_max_unpool(y, x, at, &call.context))
    return call.result


def im2col(int nd, input, kernel_size, dilation, padding, stride, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_window_params params
    cdef int64_t shape[5]
    window_params(&params, nd, kernel_size, stride, padding, dilation)
    cdef fastconv_tensor *x = call.take(input, "input", nd + 2)
    check(fastconv_im2col_output_shape(shape, x, &params))
    cdef fastconv_tensor *cols = call.output(out, x.dtype, 3, shape, x)
    with nogil:
        check(fastconv_im2col(cols, x, &params, &call.context))
    return call.result


def col2im(int nd, input, output_size, kernel_size, dilation, padding, stride, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_window_params params
    cdef int64_t shape[5]
    cdef int i
    window_params(&params, nd, kernel_size, stride, padding, dilation)
    cdef fastconv_tensor *cols = call.take(input, "input", 3)
    shape[0], shape[1] = cols.shape[0], cols.shape[1]
    for i in range(nd):
        shape[1] //= max(params.kernel_size[i], 1)
    integers(shape + 2, nd, output_size, "output_size")
    cdef fastconv_tensor *y = call.output(out, cols.dtype, nd + 2, shape, cols)
    with nogil:
        check(fastconv_col2im(y, cols, &params, &call.context))
    return call.result


# ---- elementwise, softmax, loss -------------------------------------------------------

def activate(activation, input, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef _Activation f = _Activation(activation)
    cdef fastconv_tensor *x = call.take(input, "input")
    cdef fastconv_tensor *y = call.output(out, x.dtype, x.ndim, x.shape, x, True)
    with nogil:
        check(fastconv_activate(y, x, f.kind, f.parameters[0], f.parameters[1], &call.context))
    return call.result


def activate_backward(activation, grad_output, saved, str name, out):
    """`name` is that of `saved`: "output" or "input", whichever the function needs."""
    cdef _Call call = _Call.__new__(_Call)
    cdef _Activation f = _Activation(activation)
    cdef fastconv_tensor *dy = call.take(grad_output, "grad_output")
    cdef fastconv_tensor *x = call.take(saved, name)
    cdef fastconv_tensor *dx = call.output(out, dy.dtype, dy.ndim, dy.shape, dy, True)
    with nogil:
        check(fastconv_activate_backward(
            dx, dy, x, f.kind, f.parameters[0], f.parameters[1], &call.context))
    return call.result


def activate_backward_bias(activation, grad_output, saved, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef _Activation f = _Activation(activation)
    cdef fastconv_tensor *dy = call.take(grad_output, "grad_output")
    cdef fastconv_tensor *x = call.take(saved, "saved")
    if dy.ndim < 2:
        raise ValueError(f"grad_output: expected 2 to 5 dimensions, got {np.shape(grad_output)}")
    cdef fastconv_tensor *db = call.output(None, dy.dtype, 1, dy.shape + 1)
    dbias = call.result
    cdef fastconv_tensor *dx = call.output(out, dy.dtype, dy.ndim, dy.shape, dy, True)
    with nogil:
        check(fastconv_activate_backward_bias(
            dx, db, dy, x, f.kind, f.parameters[0], f.parameters[1], &call.context))
    return call.result, dbias


def softmax(input, dim, bint log, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_tensor *x = call.take(input, "input")
    cdef int axis = as_int(dim, "dim")
    cdef fastconv_tensor *y = call.output(out, x.dtype, x.ndim, x.shape, x, True)
    with nogil:
        check(fastconv_softmax(y, x, axis, log, &call.context))
    return call.result


def softmax_backward(grad_output, output, dim, bint log, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_tensor *dy = call.take(grad_output, "grad_output")
    cdef fastconv_tensor *y = call.take(output, "output")
    cdef int axis = as_int(dim, "dim")
    cdef fastconv_tensor *dx = call.output(out, dy.dtype, dy.ndim, dy.shape, dy, True)
    with nogil:
        check(fastconv_softmax_backward(dx, dy, y, axis, log, &call.context))
    return call.result


def cross_entropy(input, target, ignore_index, label_smoothing):
    """The loss of every sample."""
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_cross_entropy_params params
    cdef fastconv_tensor *x = call.take(input, "input", 2)
    cdef fastconv_tensor *t = call.take(target, "target", 1 if call.unbatched else -1)
    params.struct_size = sizeof(params)
    params.label_smoothing = number(label_smoothing, "label_smoothing")
    integers(&params.ignore_index, 0, ignore_index, "ignore_index")
    cdef fastconv_tensor *loss = call.output(None, x.dtype, t.ndim, t.shape, t)
    with nogil:
        check(fastconv_cross_entropy(loss, x, t, &params, &call.context))
    return call.result


def cross_entropy_backward(grad_loss, input, target, ignore_index, label_smoothing, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_cross_entropy_params params
    cdef fastconv_tensor *x = call.take(input, "input", 2)
    cdef fastconv_tensor *t = call.take(target, "target", 1 if call.unbatched else -1)
    cdef fastconv_tensor *dl = call.take(grad_loss, "grad_output", t.ndim)
    params.struct_size = sizeof(params)
    params.label_smoothing = number(label_smoothing, "label_smoothing")
    integers(&params.ignore_index, 0, ignore_index, "ignore_index")
    cdef fastconv_tensor *dx = call.output(out, x.dtype, x.ndim, x.shape, x, True)
    with nogil:
        check(fastconv_cross_entropy_backward(dx, dl, x, t, &params, &call.context))
    return call.result


# ---- dropout --------------------------------------------------------------------------

def dropout(bint backward, input, p, seed, bint alpha, int shared_ndim, out):
    """The function or its gradient; `shared_ndim` -1 leaves samples and channels apart."""
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_dropout_params params
    params.struct_size = sizeof(params)
    params.p = number(p, "p")
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TypeError(f"seed: expected an int, got {seed!r}")
    if not 0 <= seed.__index__() < 2**64:
        raise ValueError(f"seed: expected an int in [0, 2**64), got {seed!r}")
    params.seed = seed.__index__()
    params.alpha = alpha
    cdef fastconv_tensor *x = call.take(input, "grad_output" if backward else "input")
    params.shared_ndim = max(x.ndim - 2, 0) if shared_ndim < 0 else shared_ndim
    cdef fastconv_tensor *y = call.output(out, x.dtype, x.ndim, x.shape, x, True)
    with nogil:
        if backward:
            check(fastconv_dropout_backward(y, x, &params, &call.context))
        else:
            check(fastconv_dropout(y, x, &params, &call.context))
    return call.result


# ---- normalisation --------------------------------------------------------------------

cdef fastconv_tensor *optional(_Call call, object array, str name) except? NULL:
    """The memory of an argument that may be None."""
    return NULL if array is None else call.take(array, name)


cdef tuple new_statistics(_Call call, const fastconv_tensor *x, int ndim, const int64_t *shape,
                          fastconv_tensor **mean, fastconv_tensor **invstd):
    """New arrays for mean and invstd."""
    mean[0] = call.output(None, x.dtype, ndim, shape)
    result = call.result
    invstd[0] = call.output(None, x.dtype, ndim, shape)
    return result, call.result


cdef norm_params(fastconv_norm_params *params, object eps):
    memset(params, 0, sizeof(fastconv_norm_params))
    params.struct_size = sizeof(fastconv_norm_params)
    params.eps = number(eps, "eps")


cdef int relu_only(object activation) except -1:
    if activation is not None and activation != "relu":
        raise ValueError(f"activation: expected None or 'relu', got {activation!r}")
    return FASTCONV_IDENTITY if activation is None else FASTCONV_RELU


def batch_norm_forward(input, running_mean, running_var, weight, bias, bint training, momentum,
                       eps, activation, bint statistics, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_norm_params params
    cdef fastconv_tensor *mean = NULL
    cdef fastconv_tensor *invstd = NULL
    cdef fastconv_tensor *moving_mean = NULL
    cdef fastconv_tensor *moving_var = NULL
    norm_params(&params, eps)
    params.training = training
    params.activation = relu_only(activation)
    params.momentum = number(momentum, "momentum")
    cdef fastconv_tensor *x = call.take(input, "input")
    if x.ndim < 2:
        raise ValueError(f"input: expected 2 to 5 dimensions, got shape {np.shape(input)}")
    if running_mean is not None:
        moving_mean = call.take(running_mean, "running_mean", -1, training)
    if running_var is not None:
        moving_var = call.take(running_var, "running_var", -1, training)
    cdef fastconv_tensor *w = optional(call, weight, "weight")
    cdef fastconv_tensor *b = optional(call, bias, "bias")
    more = ()
    if statistics:
        more = new_statistics(call, x, 1, x.shape + 1, &mean, &invstd)
    cdef fastconv_tensor *y = call.output(out, x.dtype, x.ndim, x.shape, x, True)
    with nogil:
        check(fastconv_batch_norm_forward(
            y, mean, invstd, moving_mean, moving_var, x, w, b, &params, &call.context))
    return (call.result, *more) if statistics else call.result


cdef tuple norm_backward(int kind, object grad_output, object input, object weight, object mean,
                         object invstd, object bias, fastconv_norm_params *params, object out):
    """Gradients of input, weight and bias; kind 0 is batch_norm, 1 group_norm, 2 layer_norm."""
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_tensor *dw
    cdef fastconv_tensor *db
    cdef fastconv_tensor *dy = call.take(grad_output, "grad_output")
    cdef fastconv_tensor *x = call.take(input, "input")
    cdef fastconv_tensor *m = call.take(mean, "mean")
    cdef fastconv_tensor *s = call.take(invstd, "invstd")
    cdef fastconv_tensor *w = optional(call, weight, "weight")
    cdef fastconv_tensor *b = optional(call, bias, "bias")
    cdef int columns = params.normalized_ndim if kind == 2 else 1
    if x.ndim < (columns if kind == 2 else 2):
        raise ValueError(f"input: expected {columns if kind == 2 else 2} to 5 dimensions, "
                         f"got shape {np.shape(input)}")
    cdef const int64_t *shape = x.shape + (x.ndim - columns if kind == 2 else 1)
    dw = call.output(None, x.dtype, columns, shape)
    dweight = call.result
    db = call.output(None, x.dtype, columns, shape)
    dbias = call.result
    cdef fastconv_tensor *dx = call.output(out, dy.dtype, dy.ndim, dy.shape, dy, True)
    with nogil:
        if kind == 0:
            check(fastconv_batch_norm_backward(
                dx, dw, db, dy, x, m, s, w, b, params, &call.context))
        elif kind == 1:
            check(fastconv_group_norm_backward(
                dx, dw, db, dy, x, m, s, w, params, &call.context))
        else:
            check(fastconv_layer_norm_backward(
                dx, dw, db, dy, x, m, s, w, params, &call.context))
    return call.result, dweight, dbias


def batch_norm_backward(grad_output, input, weight, mean, invstd, bias, bint training, activation,
                        out):
    cdef fastconv_norm_params params
    norm_params(&params, 0)
    params.training = training
    params.activation = relu_only(activation)
    return norm_backward(0, grad_output, input, weight, mean, invstd, bias, &params, out)


def group_norm_forward(input, num_groups, weight, bias, eps, bint statistics, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_norm_params params
    cdef fastconv_tensor *mean = NULL
    cdef fastconv_tensor *invstd = NULL
    norm_params(&params, eps)
    integers(&params.num_groups, 0, num_groups, "num_groups")
    cdef fastconv_tensor *x = call.take(input, "input")
    cdef fastconv_tensor *w = optional(call, weight, "weight")
    cdef fastconv_tensor *b = optional(call, bias, "bias")
    cdef int64_t *shape = [x.shape[0], max(params.num_groups, 0)]
    more = ()
    if statistics:
        more = new_statistics(call, x, 2, shape, &mean, &invstd)
    cdef fastconv_tensor *y = call.output(out, x.dtype, x.ndim, x.shape, x, True)
    with nogil:
        check(fastconv_group_norm_forward(y, mean, invstd, x, w, b, &params, &call.context))
    return (call.result, *more) if statistics else call.result


def group_norm_backward(grad_output, input, num_groups, weight, mean, invstd, out):
    cdef fastconv_norm_params params
    norm_params(&params, 0)
    integers(&params.num_groups, 0, num_groups, "num_groups")
    return norm_backward(1, grad_output, input, weight, mean, invstd, None, &params, out)


cdef int row_ndim(object normalized_shape, object input) except -1:
    """How many of the last dimensions are a row."""
    shape = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    cdef int count = len(shape)
    if count > FASTCONV_MAX_NDIM:
        raise ValueError(f"normalized_shape: expected at most 5 dimensions, got {shape!r}")
    row = sizes(shape, count, "normalized_shape", False) if count > 0 else ()
    whole = np.shape(input)
    if count < 1 or whole[len(whole) - count:] != row:
        raise ValueError("normalized_shape: expected what the shape of input ends with, got "
                         f"{normalized_shape!r} for shape {whole}")
    return count


def layer_norm_forward(input, normalized_shape, weight, bias, eps, bint statistics, out):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_norm_params params
    cdef fastconv_tensor *mean = NULL
    cdef fastconv_tensor *invstd = NULL
    norm_params(&params, eps)
    cdef fastconv_tensor *x = call.take(input, "input")
    params.normalized_ndim = row_ndim(normalized_shape, input)
    cdef fastconv_tensor *w = optional(call, weight, "weight")
    cdef fastconv_tensor *b = optional(call, bias, "bias")
    more = ()
    if statistics:
        more = new_statistics(
            call, x, x.ndim - params.normalized_ndim, x.shape, &mean, &invstd)
    cdef fastconv_tensor *y = call.output(out, x.dtype, x.ndim, x.shape, x, True)
    with nogil:
        check(fastconv_layer_norm_forward(y, mean, invstd, x, w, b, &params, &call.context))
    return (call.result, *more) if statistics else call.result


def layer_norm_backward(grad_output, input, normalized_shape, weight, mean, invstd, out):
    cdef fastconv_norm_params params
    norm_params(&params, 0)
    params.normalized_ndim = row_ndim(normalized_shape, input)
    return norm_backward(2, grad_output, input, weight, mean, invstd, None, &params, out)


def local_response_norm(grad_output, input, size, alpha, beta, k, out):
    """The function or, unless `grad_output` is None, its gradient."""
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_local_response_params params
    params.struct_size = sizeof(params)
    integers(&params.size, 0, size, "size")
    params.alpha = number(alpha, "alpha")
    params.beta = number(beta, "beta")
    params.k = number(k, "k")
    cdef fastconv_tensor *dy = optional(call, grad_output, "grad_output")
    cdef fastconv_tensor *x = call.take(input, "input")
    cdef fastconv_tensor *like = x if dy == NULL else dy
    cdef fastconv_tensor *y = call.output(out, like.dtype, like.ndim, like.shape, like, True)
    with nogil:
        if dy == NULL:
            check(fastconv_local_response_norm(y, x, &params, &call.context))
        else:
            check(fastconv_local_response_norm_backward(y, dy, x, &params, &call.context))
    return call.result


# ---- the library ----------------------------------------------------------------------

def sizes(value, int count, str name, bint one=True):
    """At most 5 integers of an argument, for the little arithmetic that is done in Python."""
    cdef int64_t result[5]
    integers(result, count, value, name, one)
    return as_tuple(result, count)


def version():
    return fastconv_version().decode()


def build_info():
    return fastconv_build_info().decode("utf-8", "replace")


def get_num_threads():
    return threads_here or fastconv_get_num_threads()


def set_num_threads(num_threads):
    check(fastconv_set_num_threads(as_int(num_threads, "num_threads")))


def limit_threads(num_threads):
    """Limit the calls of this thread, or not if None; return the limit before."""
    global threads_here
    cdef int limit = 0 if num_threads is None else as_int(num_threads, "num_threads")
    if limit < 1 and num_threads is not None:
        raise ValueError(f"num_threads: expected a positive integer, got {num_threads}")
    before = threads_here or None
    threads_here = limit
    return before


def choose_precision(name):
    """Set the precision of the calls of this thread; return the one before."""
    global precision_here
    before = PRECISIONS[precision_here]
    precision_here = precision_code(name)
    return before


def available_isas():
    cdef const char *names[MAX_ISAS]
    cdef int count = min(fastconv_available_isas(names, MAX_ISAS), MAX_ISAS)
    return tuple([names[i].decode() for i in range(count)])


def isa():
    cdef const char *name = fastconv_isa()
    if name == NULL:
        check(FASTCONV_UNAVAILABLE)
    return name.decode()


def set_isa(name):
    if name is None:
        check(fastconv_set_isa(NULL))
    elif isinstance(name, str):
        check(fastconv_set_isa(name.encode()))
    else:
        raise TypeError(f"name: expected a str or None, got {name!r}")


def trim():
    return fastconv_trim()


def pool_stats():
    cdef size_t in_use, cached
    fastconv_pool_stats(&in_use, &cached)
    return in_use, cached


def measure(bint micro_kernel, bint double_precision, seconds):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_probe probe = FASTCONV_PROBE_MICRO_KERNEL if micro_kernel else FASTCONV_PROBE_FMA
    cdef fastconv_dtype dtype = FASTCONV_FLOAT64 if double_precision else FASTCONV_FLOAT32
    cdef double duration = number(seconds, "seconds")
    cdef double flops = 0
    with nogil:
        check(fastconv_measure(&flops, probe, dtype, duration, &call.context))
    return flops
