// Algorithms that were measured to be faster than the model's, by problem. Reading takes no
// lock, and nothing but one load while the table is empty.
#pragma once

#include "core/params.h"

namespace fastconv {

// What the choice of an algorithm depends on, beside the version of the library: neither the
// batch nor the threads. `computation` is a fastconv_conv_computation.
uint64_t conv_problem_key(const ConvParams& p, int computation, int dtype, bool highest,
                          const char* isa);

bool have_choices();
// The algorithm chosen for a problem, or 0.
int32_t find_choice(uint64_t problem_key);
// Chooses an algorithm, or with 0 forgets it; false when the table is full.
bool set_choice(uint64_t problem_key, int32_t algorithm);
void clear_choices();

}  // namespace fastconv
