# Versions, threads, instruction sets, the memory pool and the ceilings of the machine.
# Part of _core.pyx, which includes it.


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


def empty(shape, dtype):
    """Return a contiguous array of float32 or float64 in memory of the pool, not initialised."""
    cdef int64_t extents[FASTCONV_MAX_NDIM]
    cdef int ndim = len(shape)
    cdef _Call call = _Call.__new__(_Call)
    for i in range(ndim):
        extents[i] = shape[i]
    call.output(None, DTYPES.index(np.dtype(dtype)), ndim, extents)
    return call.result


def measure(bint micro_kernel, bint double_precision, seconds):
    cdef _Call call = _Call.__new__(_Call)
    cdef fastconv_probe probe = FASTCONV_PROBE_MICRO_KERNEL if micro_kernel else FASTCONV_PROBE_FMA
    cdef fastconv_dtype dtype = FASTCONV_FLOAT64 if double_precision else FASTCONV_FLOAT32
    cdef double duration = number(seconds, "seconds")
    cdef double flops = 0
    with nogil:
        check(fastconv_measure(&flops, probe, dtype, duration, &call.context))
    return flops
