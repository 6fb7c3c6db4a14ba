# Normalization and its gradients.
# Part of _core.pyx, which includes it.


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
