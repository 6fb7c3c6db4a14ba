// Normalisation by its definition: see reference.h.
#include "reference/reference.h"

namespace fastconv {
namespace {

// Calls body(n, c, d, h, w) for the elements of batch b and channels [first, last).
template <class T, class Body>
void for_each_of(const NormArgs<T>& args, int64_t b, int64_t first, int64_t last,
                 const Body& body) {
  const int64_t* e = args.extent;
  for (int64_t n = args.per_sample ? b : 0; n < (args.per_sample ? b + 1 : e[0]); ++n)
    for (int64_t c = first; c < last; ++c)
      for (int64_t d = 0; d < e[2]; ++d)
        for (int64_t h = 0; h < e[3]; ++h)
          for (int64_t w = 0; w < e[4]; ++w) body(n, c, d, h, w);
}

template <class T>
T parameter(const T* values, int64_t stride, int64_t c, T none) {
  return values != nullptr ? values[c * stride] : none;
}

// y = act((x - mean) * invstd * weight + bias)
template <class T>
void channel_norm_forward(const NormArgs<T>& args) {
  const int64_t size = args.extent[1] / args.groups;
  for (int64_t b = 0; b < (args.per_sample ? args.extent[0] : 1); ++b)
    for (int64_t g = 0; g < args.groups; ++g) {
      const int64_t first = g * size, last = first + size;
      double count = 0, mean = 0, variance = 0;
      if (args.from_batch) {
        for_each_of(args, b, first, last, [&](auto... i) {
          mean += static_cast<double>(args.x[at(args.x_stride, i...)]);
          ++count;
        });
        if (count > 0) mean /= count;
        for_each_of(args, b, first, last, [&](auto... i) {
          const double d = static_cast<double>(args.x[at(args.x_stride, i...)]) - mean;
          variance += d * d;
        });
        T* running_mean = args.running_mean + g * args.running_mean_stride;
        T* running_var = args.running_var + g * args.running_var_stride;
        if (args.running_mean != nullptr && count > 0)
          *running_mean = static_cast<T>((1 - args.momentum) * static_cast<double>(*running_mean) +
                                         args.momentum * mean);
        if (args.running_var != nullptr && count > 0)
          *running_var = static_cast<T>((1 - args.momentum) * static_cast<double>(*running_var) +
                                        args.momentum * variance / (count - 1));
        if (count > 0) variance /= count;
      } else {
        mean = static_cast<double>(args.running_mean[g * args.running_mean_stride]);
        variance = static_cast<double>(args.running_var[g * args.running_var_stride]);
      }
      const double invstd = 1 / __builtin_sqrt(variance + args.eps);
      if (args.mean != nullptr)
        args.mean[b * args.mean_stride[0] + g * args.mean_stride[1]] = static_cast<T>(mean);
      if (args.invstd != nullptr)
        args.invstd[b * args.invstd_stride[0] + g * args.invstd_stride[1]] = static_cast<T>(invstd);
      for_each_of(args, b, first, last, [&](int64_t n, int64_t c, int64_t d, int64_t h, int64_t w) {
        const T weight = parameter(args.weight, args.weight_stride, c, T{1});
        const T bias = parameter(args.bias, args.bias_stride, c, T{0});
        const T x = args.x[at(args.x_stride, n, c, d, h, w)];
        const double y = (static_cast<double>(x) - mean) * invstd * static_cast<double>(weight) +
                         static_cast<double>(bias);
        args.out[at(args.out_stride, n, c, d, h, w)] =
            args.relu && y < 0 ? T{0} : static_cast<T>(y);
      });
    }
}

template <class T>
void channel_norm_backward(const NormArgs<T>& args) {
  const int64_t size = args.extent[1] / args.groups;
  const int64_t batches = args.per_sample ? args.extent[0] : 1;
  const auto mean = [&](int64_t b, int64_t c) {
    return static_cast<double>(args.mean[b * args.mean_stride[0] + c / size * args.mean_stride[1]]);
  };
  const auto invstd = [&](int64_t b, int64_t c) {
    return static_cast<double>(
        args.invstd[b * args.invstd_stride[0] + c / size * args.invstd_stride[1]]);
  };
  const auto weight = [&](int64_t c) {
    return static_cast<double>(parameter(args.weight, args.weight_stride, c, T{1}));
  };
  const auto normal = [&](int64_t b, int64_t n, int64_t c, auto... i) {
    return (static_cast<double>(args.x[at(args.x_stride, n, c, i...)]) - mean(b, c)) * invstd(b, c);
  };
  const auto gradient = [&](int64_t b, int64_t n, int64_t c, auto... i) {
    const double y = normal(b, n, c, i...) * weight(c) +
                     static_cast<double>(parameter(args.bias, args.bias_stride, c, T{0}));
    return args.relu && y <= 0 ? 0.0 : static_cast<double>(args.dy[at(args.dy_stride, n, c, i...)]);
  };
  for (int64_t c = 0; c < args.extent[1]; ++c) {
    double dweight = 0, dbias = 0;
    for (int64_t b = 0; b < batches; ++b)
      for_each_of(args, b, c, c + 1, [&](auto... i) {
        dbias += gradient(b, i...);
        dweight += gradient(b, i...) * normal(b, i...);
      });
    if (args.dweight != nullptr) args.dweight[c * args.dweight_stride] = static_cast<T>(dweight);
    if (args.dbias != nullptr) args.dbias[c * args.dbias_stride] = static_cast<T>(dbias);
  }
  for (int64_t b = 0; b < batches && args.out != nullptr; ++b)
    for (int64_t g = 0; g < args.groups; ++g) {
      double count = 0, of_one = 0, of_normal = 0;
      for_each_of(args, b, g * size, (g + 1) * size, [&](int64_t n, int64_t c, auto... i) {
        of_one += weight(c) * gradient(b, n, c, i...);
        of_normal += weight(c) * gradient(b, n, c, i...) * normal(b, n, c, i...);
        ++count;
      });
      if (!args.from_batch) of_one = of_normal = 0;
      for_each_of(args, b, g * size, (g + 1) * size, [&](int64_t n, int64_t c, auto... i) {
        args.out[at(args.out_stride, n, c, i...)] =
            static_cast<T>(invstd(b, c) * (weight(c) * gradient(b, n, c, i...) - of_one / count -
                                           normal(b, n, c, i...) * of_normal / count));
      });
    }
}

// Only the fast kernels need scratch.
template <class T>
void channel_norm_forward_workspace(const NormArgs<T>& args) {
  *args.workspace_size = 0;
}
template <class T>
void channel_norm_backward_workspace(const NormArgs<T>& args) {
  *args.workspace_size = 0;
}

// The two halves of a tensor's extents: rows, and the elements of one.
struct Halves {
  int64_t rows[5], columns[5];
  Halves(const int64_t extent[5], int axis) {
    for (int i = 0; i < 5; ++i) {
      rows[i] = i < axis ? extent[i] : 1;
      columns[i] = i < axis ? 1 : extent[i];
    }
  }
};

template <class T>
void layer_norm_forward(const LayerNormArgs<T>& args) {
  const Halves halves(args.extent, args.axis);
  for_each(halves.rows, [&](auto... r) {
    double count = 0, mean = 0, variance = 0;
    const T* x = args.x + at(args.x_stride, r...);
    for_each(halves.columns, [&](auto... k) {
      mean += static_cast<double>(x[at(args.x_stride, k...)]);
      ++count;
    });
    mean /= count;
    for_each(halves.columns, [&](auto... k) {
      const double d = static_cast<double>(x[at(args.x_stride, k...)]) - mean;
      variance += d * d;
    });
    const double invstd = 1 / __builtin_sqrt(variance / count + args.eps);
    if (args.mean != nullptr) args.mean[at(args.mean_stride, r...)] = static_cast<T>(mean);
    if (args.invstd != nullptr) args.invstd[at(args.invstd_stride, r...)] = static_cast<T>(invstd);
    for_each(halves.columns, [&](auto... k) {
      double y = (static_cast<double>(x[at(args.x_stride, k...)]) - mean) * invstd;
      if (args.weight != nullptr)
        y *= static_cast<double>(args.weight[at(args.weight_stride, k...)]);
      if (args.bias != nullptr) y += static_cast<double>(args.bias[at(args.bias_stride, k...)]);
      args.out[at(args.out_stride, r...) + at(args.out_stride, k...)] = static_cast<T>(y);
    });
  });
}

template <class T>
void layer_norm_backward(const LayerNormArgs<T>& args) {
  const Halves halves(args.extent, args.axis);
  const auto normal = [&](int64_t row_x, int64_t row_mean, int64_t row_invstd, auto... k) {
    return (static_cast<double>(args.x[row_x + at(args.x_stride, k...)]) -
            static_cast<double>(args.mean[row_mean])) *
           static_cast<double>(args.invstd[row_invstd]);
  };
  const auto weighted = [&](int64_t row, auto... k) {
    const double dy = static_cast<double>(args.dy[row + at(args.dy_stride, k...)]);
    return args.weight != nullptr
               ? dy * static_cast<double>(args.weight[at(args.weight_stride, k...)])
               : dy;
  };
  for_each(halves.columns, [&](auto... k) {
    double dweight = 0, dbias = 0;
    for_each(halves.rows, [&](auto... r) {
      const double dy =
          static_cast<double>(args.dy[at(args.dy_stride, r...) + at(args.dy_stride, k...)]);
      dbias += dy;
      dweight += dy * normal(at(args.x_stride, r...), at(args.mean_stride, r...),
                             at(args.invstd_stride, r...), k...);
    });
    if (args.dweight != nullptr)
      args.dweight[at(args.dweight_stride, k...)] = static_cast<T>(dweight);
    if (args.dbias != nullptr) args.dbias[at(args.dbias_stride, k...)] = static_cast<T>(dbias);
  });
  if (args.out == nullptr) return;
  for_each(halves.rows, [&](auto... r) {
    const int64_t x = at(args.x_stride, r...), mean = at(args.mean_stride, r...);
    const int64_t invstd = at(args.invstd_stride, r...), dy = at(args.dy_stride, r...);
    double count = 0, of_one = 0, of_normal = 0;
    for_each(halves.columns, [&](auto... k) {
      of_one += weighted(dy, k...);
      of_normal += weighted(dy, k...) * normal(x, mean, invstd, k...);
      ++count;
    });
    for_each(halves.columns, [&](auto... k) {
      args.out[at(args.out_stride, r...) + at(args.out_stride, k...)] =
          static_cast<T>(static_cast<double>(args.invstd[invstd]) *
                         (weighted(dy, k...) - of_one / count -
                          normal(x, mean, invstd, k...) * of_normal / count));
    });
  });
}

template <class T>
void layer_norm_backward_workspace(const LayerNormArgs<T>& args) {
  *args.workspace_size = 0;
}

template <class T>
void local_response_norm(const LocalResponseArgs<T>& args) {
  const int64_t C = args.extent[1], before = args.size / 2, after = (args.size - 1) / 2;
  const double scale = args.alpha / static_cast<double>(args.size);
  int64_t positions[5] = {args.extent[0], 1, args.extent[2], args.extent[3], args.extent[4]};
  for_each(positions, [&](int64_t n, int64_t, int64_t d, int64_t h, int64_t w) {
    const auto x = [&](int64_t c) {
      return inside(c, C) ? static_cast<double>(args.x[at(args.x_stride, n, c, d, h, w)]) : 0.0;
    };
    const auto dy = [&](int64_t c) {
      return inside(c, C) ? static_cast<double>(args.dy[at(args.dy_stride, n, c, d, h, w)]) : 0.0;
    };
    const auto base = [&](int64_t c) {
      double sum = 0;
      for (int64_t j = c - before; j <= c + after; ++j) sum += x(j) * x(j);
      return args.k + scale * sum;
    };
    for (int64_t c = 0; c < C; ++c) {
      double y = __builtin_pow(base(c), -args.beta) * (args.dy != nullptr ? dy(c) : x(c));
      for (int64_t j = c - after; j <= c + before && args.dy != nullptr; ++j)
        if (inside(j, C))
          y -= 2 * scale * args.beta * x(c) * dy(j) * x(j) * __builtin_pow(base(j), -args.beta - 1);
      args.out[at(args.out_stride, n, c, d, h, w)] = static_cast<T>(y);
    }
  });
}

template <class T>
void local_response_norm_workspace(const LocalResponseArgs<T>& args) {
  *args.workspace_size = 0;
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(channel_norm_forward, NormArgs)
FASTCONV_EXPORT(channel_norm_forward_workspace, NormArgs)
FASTCONV_EXPORT(channel_norm_backward, NormArgs)
FASTCONV_EXPORT(channel_norm_backward_workspace, NormArgs)
FASTCONV_EXPORT(layer_norm_forward, LayerNormArgs)
FASTCONV_EXPORT(layer_norm_backward, LayerNormArgs)
FASTCONV_EXPORT(layer_norm_backward_workspace, LayerNormArgs)
FASTCONV_EXPORT(local_response_norm, LocalResponseArgs)
FASTCONV_EXPORT(local_response_norm_workspace, LocalResponseArgs)
