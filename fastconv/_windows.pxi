# Pooling, im2col and col2im.
# Part of _core.pyx, which includes it.


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
