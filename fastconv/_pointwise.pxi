# Activations, softmax, loss and dropout.
# Part of _core.pyx, which includes it.


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
