# Dense layers.
# Part of _core.pyx, which includes it.


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
