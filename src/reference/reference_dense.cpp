// A matrix times a few vectors, and dropout: see reference.h.
#include "reference/reference.h"
#include "reference/reference_activation.h"

namespace fastconv {
namespace {

// y[n, m] = activation(sum over k of a[m, k] * x[n, k] + bias[m] + residual[n, m])
template <class T>
void matrix_vector(const MatrixVectorArgs<T>& args) {
  for (int64_t n = 0; n < args.rows; ++n)
    for (int64_t m = 0; m < args.outputs; ++m) {
      double sum = 0;
      for (int64_t k = 0; k < args.columns; ++k)
        sum += static_cast<double>(args.a[m * args.a_stride[0] + k * args.a_stride[1]]) *
               static_cast<double>(args.x[n * args.x_stride[0] + k * args.x_stride[1]]);
      if (args.bias != nullptr) sum += static_cast<double>(args.bias[m * args.bias_stride]);
      if (args.residual != nullptr)
        sum += static_cast<double>(
            args.residual[n * args.residual_stride[0] + m * args.residual_stride[1]]);
      args.y[n * args.y_stride[0] + m * args.y_stride[1]] =
          static_cast<T>(activate(sum, args.activation));
    }
}

// The paper's algorithm for one counter; words in the order of its output.
inline void philox(uint64_t counter, uint64_t seed, uint32_t word[4]) {
  uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  word[0] = static_cast<uint32_t>(counter);
  word[1] = static_cast<uint32_t>(counter >> 32);
  word[2] = word[3] = 0;
  for (int round = 0; round < 10; ++round) {
    const uint64_t first = uint64_t{0xD2511F53} * word[0], second = uint64_t{0xCD9E8D57} * word[2];
    const uint32_t next[4] = {
        static_cast<uint32_t>(second >> 32) ^ word[1] ^ key[0], static_cast<uint32_t>(second),
        static_cast<uint32_t>(first >> 32) ^ word[3] ^ key[1], static_cast<uint32_t>(first)};
    for (int i = 0; i < 4; ++i) word[i] = next[i];
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
}

template <class T>
void dropout(const DropoutArgs<T>& args) {
  for_each(args.extent, [&](auto... i) {
    const uint64_t e = static_cast<uint64_t>(at(args.number_stride, i...));
    uint32_t word[4];
    philox(e / 64 * 16 + e % 16, args.seed, word);
    const double a = static_cast<double>(args.a[at(args.a_stride, i...)]);
    args.out[at(args.out_stride, i...)] = static_cast<T>(
        word[e % 64 / 16] >= args.threshold ? a * args.scale + args.shift : args.dropped);
  });
}

}  // namespace
}  // namespace fastconv

FASTCONV_EXPORT(matrix_vector, MatrixVectorArgs)
FASTCONV_EXPORT(dropout, DropoutArgs)
