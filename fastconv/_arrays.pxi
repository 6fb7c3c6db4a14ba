# Buffers, DLPack capsules and whatever NumPy takes as tensors; results in memory of the pool;
# and a call, which holds all of its operands until it is over.
# Part of _core.pyx, which includes it.


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


# What decides how a convolution reads packed filters; `choices` counts the changes of measured
# choices by `set_choice`.
cdef struct PackedCall:
    int32_t computation
    int32_t precision
    const char *isa
    int64_t choices
    int64_t[5] input
    int64_t[5] input_strides
    int64_t[5] output
    int64_t[5] output_strides
    fastconv_conv_params params

cdef int64_t choices = 0
cdef enum:
    MOST_PLANS = 256


@cython.final
cdef class PackedWeight:
    """Filters that are packed once for each way in which convolutions read them.

    A convolution packs its filters anew at every call, or transforms them, because it cannot
    know whether they have changed since: a training step changes them in place. For small
    images under many filters that is much of the time. Where they do not change, wrap them:
    a `PackedWeight` stands for `weight` in `conv1d`, `conv2d`, `conv3d`, their transposes and
    `fastconv.grad.conv1d_input`, `conv2d_input` and `conv3d_input`, with the same bits.

    The first call of each kind packs; later ones with any batch or number of threads read
    what it left. The packed forms take memory beside `weight`: as much again, and where
    Winograd's algorithm meets large images or batches four times that (F(4x4, 3x3)) to seven
    times (F(6x6, 3x3)). It may be used by many threads at once.

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

    # The array, its packed forms by key, and the algorithm and the form of calls by all that these
    # depend on. Replaced together: a call that has begun packs the array that it reads, into the
    # forms of that array.
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
            self.state = (weight, {}, {})

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
        """Let the call read packed filters; pack them if it is the first to need that form.

        A call like an earlier one is told what that found out, which takes longer than a small
        image: 3 of 13 us.
        """
        cdef fastconv_conv_plan_info info
        cdef dict forms = self.packed[1], plans = self.packed[2]
        cdef _Memory block
        cdef PackedCall like
        if x.shape[0] == 0:
            return 0  # nothing is computed, and an empty array has no layout
        memset(&like, 0, sizeof(like))
        like.computation, like.precision = computation, self.context.precision
        like.isa, like.choices = fastconv_isa(), choices
        memcpy(like.input, x.shape, sizeof(like.input))
        memcpy(like.input_strides, x.strides, sizeof(like.input_strides))
        memcpy(like.output, y.shape, sizeof(like.output))
        memcpy(like.output_strides, y.strides, sizeof(like.output_strides))
        like.params = params[0]
        key = (<const char *> &like)[:sizeof(like)]
        known = plans.get(key)
        if known is None:
            info.struct_size = sizeof(info)
            if fastconv_conv_plan(
                    &info, computation, y, x, w, params, &self.context) != FASTCONV_OK:
                return 0  # the call will say so, in its own terms
            block = forms.get(info.packed_key) if info.packed_size > 0 else None
            if block is None and info.packed_size > 0:
                block = _Memory.__new__(_Memory)
                block.size = info.packed_size
                check(fastconv_alloc(&block.data, block.size))
                with nogil:
                    check(fastconv_conv_pack_weight(block.data, block.size, computation, y, x, w,
                                                    params, &self.context))
                block = forms.setdefault(info.packed_key, block)
            if len(plans) >= MOST_PLANS:
                plans.clear()
            known = plans[key] = (info.algorithm, block)
        block = known[1]
        if block is None:
            return 0
        self.filters = block
        self.context.packed_weight = block.data
        self.context.packed_weight_size = block.size
        self.context.algorithm = known[0]
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
