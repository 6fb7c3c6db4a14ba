# Convolution, its gradients and its plans.
# Part of _core.pyx, which includes it.


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
    global choices
    choices += 1
    check(fastconv_conv_set_choice(problem_key, as_int(algorithm, "algorithm")))


def clear_choices():
    global choices
    choices += 1
    fastconv_conv_clear_choices()
