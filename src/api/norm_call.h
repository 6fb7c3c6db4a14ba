// The operands of a normalisation and the checks that all of them share.
#pragma once

#include <initializer_list>

#include "api/call.h"

namespace fastconv {

// Null, or a stride of 0, where there is no tensor.
template <class T>
T* data_of(Argument argument) {
  return argument.tensor != nullptr ? static_cast<T*>(argument->data) : nullptr;
}
inline int64_t stride_of(Argument argument, int dimension) {
  if (argument.tensor == nullptr || argument->shape[dimension] == 1) return 0;
  return argument->strides[dimension];
}

// The operands of either direction; the names are those of the forward call's arguments.
struct NormOperands {
  Argument out, x, dy, weight, bias, mean, invstd, running_mean, running_var, dweight, dbias;

  // Rank, dtype and shape of x, and of dy and out, which are like it.
  fastconv_status check_likes(int min_ndim) const;
  // Those of an operand that may be absent.
  fastconv_status check_parameter(const Argument& argument, const int64_t* shape, int ndim,
                                  const char* why) const;

  // `outputs` are written: they share no memory with each other or with anything that is read.
  template <int kCount>
  fastconv_status check_outputs(const Argument (&outputs)[kCount]) const {
    for (int i = 0; i < kCount; ++i) {
      if (outputs[i].tensor == nullptr) continue;
      FASTCONV_TRY(check_output(outputs[i]));
      for (int j = 0; j < i; ++j)
        if (outputs[j].tensor != nullptr) FASTCONV_TRY(check_disjoint(outputs[i], outputs[j]));
      const bool is_out = outputs[i].tensor == out.tensor;
      for (const Argument& input : {x, dy})
        if (input.tensor != nullptr)
          FASTCONV_TRY(is_out && (input.tensor == dy.tensor || dy.tensor == nullptr)
                           ? check_disjoint_or_same(outputs[i], input)
                           : check_disjoint(outputs[i], input));
      for (const Argument& input : {weight, bias})
        if (input.tensor != nullptr) FASTCONV_TRY(check_disjoint(outputs[i], input));
    }
    return FASTCONV_OK;
  }
};

fastconv_status check_norm_params(const fastconv_norm_params* params);

NormOperands forward_operands(const fastconv_tensor* output, const fastconv_tensor* mean,
                              const fastconv_tensor* invstd, const fastconv_tensor* input,
                              const fastconv_tensor* weight, const fastconv_tensor* bias);
// Fails where an operand that every gradient needs is null.
fastconv_status backward_operands(const fastconv_tensor* grad_input,
                                  const fastconv_tensor* grad_weight,
                                  const fastconv_tensor* grad_bias,
                                  const fastconv_tensor* grad_output, const fastconv_tensor* input,
                                  const fastconv_tensor* mean, const fastconv_tensor* invstd,
                                  const fastconv_tensor* weight, const fastconv_tensor* bias,
                                  NormOperands* operands);

}  // namespace fastconv
