// Checks that concern one or two tensors: rank, dtype, shape, memory.
#include <cinttypes>
#include <cstring>

#include "core/parallel.h"
#include "core/status.h"
#include "core/validate.h"

namespace fastconv {
namespace {

const char* dtype_name(int32_t dtype) {
  switch (dtype) {
    case FASTCONV_FLOAT32:
      return "float32";
    case FASTCONV_FLOAT64:
      return "float64";
    case FASTCONV_INT64:
      return "int64";
    case FASTCONV_UINT8:
      return "uint8";
    case FASTCONV_INT8:
      return "int8";
    case FASTCONV_INT32:
      return "int32";
    case FASTCONV_BFLOAT16:
      return "bfloat16";
    default:
      return "an unknown dtype";
  }
}

int64_t item_size(int32_t dtype) {
  switch (dtype) {
    case FASTCONV_UINT8:
    case FASTCONV_INT8:
      return 1;
    case FASTCONV_BFLOAT16:
      return 2;
    case FASTCONV_FLOAT32:
    case FASTCONV_INT32:
      return 4;
    default:
      return 8;
  }
}

// The half-open range of bytes a view covers, as offsets from its data pointer.
bool byte_range(const fastconv_tensor& tensor, int64_t* low, int64_t* high) {
  *low = 0;
  int64_t last = 0;
  const int64_t item = item_size(tensor.dtype);
  for (int i = 0; i < tensor.ndim; ++i) {
    if (tensor.shape[i] == 0) {
      *low = *high = 0;
      return true;
    }
    int64_t span;
    if (__builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &span) ||
        __builtin_mul_overflow(span, item, &span))
      return false;
    int64_t& end = span < 0 ? *low : last;
    if (__builtin_add_overflow(end, span, &end)) return false;
  }
  return !__builtin_add_overflow(last, item, high);
}

int64_t step(Argument argument, int axis) {
  const int64_t stride = argument->strides[axis];
  return stride < 0 ? -stride : stride;
}

// An empty tensor overlaps nothing.
bool overlap(const fastconv_tensor& a, const fastconv_tensor& b) {
  int64_t a_low, a_high, b_low, b_high;
  if (!byte_range(a, &a_low, &a_high) || !byte_range(b, &b_low, &b_high)) return true;
  const auto a_data = reinterpret_cast<intptr_t>(a.data);
  const auto b_data = reinterpret_cast<intptr_t>(b.data);
  if (a_low == a_high || b_low == b_high) return false;
  return a_data + a_low < b_data + b_high && b_data + b_low < a_data + a_high;
}

bool same_view(const fastconv_tensor& a, const fastconv_tensor& b) {
  if (a.data != b.data || a.ndim != b.ndim || a.dtype != b.dtype) return false;
  for (int i = 0; i < a.ndim; ++i)
    if (a.shape[i] != b.shape[i] || (a.shape[i] > 1 && a.strides[i] != b.strides[i])) return false;
  return true;
}

}  // namespace

fastconv_status check_tensor(Argument argument, int min_ndim, int max_ndim) {
  const fastconv_tensor* tensor = argument.tensor;
  if (tensor == nullptr)
    return fail(FASTCONV_INVALID_ARGUMENT, "%s: expected a tensor, got NULL", argument.name);
  if (tensor->struct_size < sizeof(fastconv_tensor))
    return fail(FASTCONV_INVALID_ARGUMENT,
                "%s: struct_size is %zu, expected sizeof(fastconv_tensor) = %zu", argument.name,
                tensor->struct_size, sizeof(fastconv_tensor));
  if (tensor->ndim < 0 || tensor->ndim > FASTCONV_MAX_NDIM)
    return fail(FASTCONV_INVALID_ARGUMENT, "%s: expected at most %d dimensions, got %d",
                argument.name, FASTCONV_MAX_NDIM, tensor->ndim);
  if (tensor->ndim < min_ndim || tensor->ndim > max_ndim) {
    static const char* const layouts[] = {"",          "(C)",          "(N, C)",
                                          "(N, C, L)", "(N, C, H, W)", "(N, C, D, H, W)"};
    if (min_ndim == max_ndim)
      return fail(FASTCONV_INVALID_ARGUMENT, "%s: expected %d dimensions %s, got %d: shape %s",
                  argument.name, min_ndim, layouts[min_ndim], tensor->ndim,
                  Tuple(tensor->shape, tensor->ndim).text());
    return fail(FASTCONV_INVALID_ARGUMENT, "%s: expected %d to %d dimensions, got %d: shape %s",
                argument.name, min_ndim, max_ndim, tensor->ndim,
                Tuple(tensor->shape, tensor->ndim).text());
  }
  int64_t count = item_size(tensor->dtype), low, high;
  bool overflow = false, empty = false;
  for (int i = 0; i < tensor->ndim; ++i) {
    if (tensor->shape[i] < 0)
      return fail(FASTCONV_INVALID_ARGUMENT, "%s: negative extent in shape %s", argument.name,
                  Tuple(tensor->shape, tensor->ndim).text());
    empty |= tensor->shape[i] == 0;
    overflow |= __builtin_mul_overflow(count, tensor->shape[i], &count);
  }
  if (overflow || !byte_range(*tensor, &low, &high))
    return fail(FASTCONV_INVALID_ARGUMENT,
                "%s: shape %s of %s has more bytes than a signed 64-bit offset reaches",
                argument.name, Tuple(tensor->shape, tensor->ndim).text(),
                dtype_name(tensor->dtype));
  if (tensor->data == nullptr && !empty)
    return fail(FASTCONV_INVALID_ARGUMENT, "%s: data is NULL for shape %s", argument.name,
                Tuple(tensor->shape, tensor->ndim).text());
  return FASTCONV_OK;
}

fastconv_status check_float(Argument argument) {
  if (argument->dtype == FASTCONV_FLOAT32 || argument->dtype == FASTCONV_FLOAT64)
    return FASTCONV_OK;
  return fail(FASTCONV_INVALID_TYPE, "%s: expected float32 or float64, got %s", argument.name,
              dtype_name(argument->dtype));
}

fastconv_status check_conv_dtype(Argument argument) {
  if (argument->dtype == FASTCONV_FLOAT32 || argument->dtype == FASTCONV_FLOAT64 ||
      argument->dtype == FASTCONV_BFLOAT16)
    return FASTCONV_OK;
  return fail(FASTCONV_INVALID_TYPE, "%s: expected float32, float64 or bfloat16, got %s",
              argument.name, dtype_name(argument->dtype));
}

namespace {

fastconv_status check_dtype(Argument argument, int32_t dtype) {
  if (argument->dtype == dtype) return FASTCONV_OK;
  return fail(FASTCONV_INVALID_TYPE, "%s: expected %s, got %s", argument.name, dtype_name(dtype),
              dtype_name(argument->dtype));
}

}  // namespace

fastconv_status check_int64(Argument argument) { return check_dtype(argument, FASTCONV_INT64); }

fastconv_status check_uint8(Argument argument) { return check_dtype(argument, FASTCONV_UINT8); }

fastconv_status check_int32(Argument argument) { return check_dtype(argument, FASTCONV_INT32); }

fastconv_status check_float32(Argument argument) { return check_dtype(argument, FASTCONV_FLOAT32); }

fastconv_status check_quantized(Argument argument) {
  if (argument->dtype == FASTCONV_UINT8 || argument->dtype == FASTCONV_INT8) return FASTCONV_OK;
  return fail(FASTCONV_INVALID_TYPE, "%s: expected uint8 or int8, got %s", argument.name,
              dtype_name(argument->dtype));
}

fastconv_status check_same_dtype(Argument argument, Argument like) {
  if (argument->dtype == like->dtype) return FASTCONV_OK;
  return fail(FASTCONV_INVALID_TYPE, "%s: expected the dtype of %s, %s, got %s", argument.name,
              like.name, dtype_name(like->dtype), dtype_name(argument->dtype));
}

fastconv_status check_shape(Argument argument, const int64_t* shape, int ndim, const char* why) {
  if (argument->ndim == ndim &&
      memcmp(argument->shape, shape, sizeof(int64_t) * static_cast<size_t>(ndim)) == 0)
    return FASTCONV_OK;
  return fail(FASTCONV_INVALID_ARGUMENT, "%s: expected shape %s%s%s, got %s", argument.name,
              Tuple(shape, ndim).text(), *why != '\0' ? " " : "", why,
              Tuple(argument->shape, argument->ndim).text());
}

fastconv_status check_output(Argument output) {
  for (int i = 0; i < output->ndim; ++i)
    if (output->shape[i] == 0) return FASTCONV_OK;
  // Taken from the smallest stride to the largest, each dimension has to step over all that
  // the ones before it span. (Interleaved views that still share nothing are refused as well.)
  int64_t span = 0;
  bool taken[FASTCONV_MAX_NDIM] = {};
  for (int i = 0; i < output->ndim; ++i) {
    int next = -1;
    for (int j = 0; j < output->ndim; ++j)
      if (!taken[j] && (next < 0 || step(output, j) < step(output, next))) next = j;
    taken[next] = true;
    if (output->shape[next] == 1) continue;
    if (step(output, next) <= span)
      return fail(FASTCONV_INVALID_ARGUMENT,
                  "%s: its elements share memory (strides %s of shape %s)", output.name,
                  Tuple(output->strides, output->ndim).text(),
                  Tuple(output->shape, output->ndim).text());
    span += step(output, next) * (output->shape[next] - 1);  // fits: see check_tensor
  }
  return FASTCONV_OK;
}

fastconv_status check_disjoint(Argument output, Argument other) {
  if (!overlap(*output.tensor, *other.tensor)) return FASTCONV_OK;
  return fail(FASTCONV_INVALID_ARGUMENT, "%s: its memory overlaps that of %s", output.name,
              other.name);
}

fastconv_status check_disjoint_or_same(Argument output, Argument other) {
  if (same_view(*output.tensor, *other.tensor)) return FASTCONV_OK;
  return check_disjoint(output, other);
}

void spread_strides(const fastconv_tensor& tensor, int64_t strides[5]) {
  const int skipped = 5 - tensor.ndim;
  for (int i = 0; i < 5; ++i) strides[i] = 0;
  for (int i = 0; i < tensor.ndim; ++i)
    strides[i < 2 ? i : i + skipped] = tensor.shape[i] > 1 ? tensor.strides[i] : 0;
}

void spread_shape(const fastconv_tensor& tensor, int64_t shape[5]) {
  const int skipped = 5 - tensor.ndim;
  for (int i = 0; i < 5; ++i) shape[i] = 1;
  for (int i = 0; i < tensor.ndim; ++i) shape[i < 2 ? i : i + skipped] = tensor.shape[i];
}

fastconv_status check_precision(const fastconv_exec* exec) {
  if (exec == nullptr || exec->precision == FASTCONV_PRECISION_HIGH ||
      exec->precision == FASTCONV_PRECISION_HIGHEST)
    return FASTCONV_OK;
  return fail(FASTCONV_INVALID_ARGUMENT, "precision: unknown value %d", exec->precision);
}

fastconv_status choose_threads(const fastconv_exec* exec, double work, double grain, int* threads) {
  int limit = 0;
  if (exec != nullptr) {
    constexpr size_t kFirstVersion = offsetof(fastconv_exec, packed_weight);
    if (exec->struct_size < kFirstVersion)
      return fail(FASTCONV_INVALID_ARGUMENT,
                  "exec: struct_size is %zu, expected sizeof(fastconv_exec) = %zu, or %zu as in "
                  "its first version",
                  exec->struct_size, sizeof(fastconv_exec), kFirstVersion);
    if (exec->num_threads < 0 || exec->num_threads > kMostThreads)
      return fail(FASTCONV_INVALID_ARGUMENT,
                  "num_threads: expected 1 to %d, or 0 for the default, got %d", kMostThreads,
                  exec->num_threads);
    limit = exec->num_threads;
  }
  if (limit == 0) limit = default_threads();
  const double worth = work / grain;
  *threads = worth < limit ? (worth < 1 ? 1 : static_cast<int>(worth)) : limit;
  return FASTCONV_OK;
}

}  // namespace fastconv
