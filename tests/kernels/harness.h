// Runs a case on the reference and on every instruction set, and compares what they wrote.
//
// A case is an operation on tensors of the test's own; its outputs are compared with those of the
// reference, for 1 thread and more, and those of an image alone with those of its batch.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "tensor.h"

namespace kernel_test {

inline const char* isas[16];
inline int isa_count = 0;
inline bool quick = false;  // fewer cases
inline int total_passed = 0, total_failed = 0, group_passed = 0, group_failed = 0;

[[gnu::format(printf, 1, 2)]] std::string text(const char* format, ...);

// Counts a failure of the group.
void fail(const std::string& what);
void check(fastconv_status status, const std::string& what);

// How far an output may be from the reference: relative to its largest element, or to `scale`
// if that is larger, where elements are differences of larger terms. 0 asks for equality.
struct Tolerance {
  double relative;
  double scale = 0;
};

// The first element that is not within tolerance, or -1. NaN and infinities have to be equal in
// any case.
template <class T>
int64_t first_difference(const std::vector<T>& expected, const std::vector<T>& actual,
                         Tolerance tolerance) {
  double largest = tolerance.scale;
  for (T value : expected)
    if (std::fabs(static_cast<double>(value)) < kInfinity)
      largest = std::fmax(largest, std::fabs(static_cast<double>(value)));
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] == actual[i] || (expected[i] != expected[i] && actual[i] != actual[i]))
      continue;
    const double error =
        std::fabs(static_cast<double>(expected[i]) - static_cast<double>(actual[i]));
    if (!(error <= tolerance.relative * largest)) return static_cast<int64_t>(i);
  }
  return -1;
}

// Signed zeros included; one NaN is as good as another.
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(&a[i], &b[i], sizeof(T)) != 0 && (a[i] == a[i] || b[i] == b[i])) return false;
  return true;
}

// One output of a case and how close it has to be.
template <class T>
struct Output {
  Tensor<T>* tensor;
  Tolerance tolerance;
  std::vector<T> expected, single;

  void run_begins() { tensor->erase(); }
  void keep_expected() { expected = tensor->elements(); }
  void compare(const std::string& name, int threads) {
    const std::vector<T> actual = tensor->elements();
    const int64_t at = first_difference(expected, actual, tolerance);
    if (at >= 0)
      fail(text("%s: element %lld is %.9g, reference %.9g", name.c_str(),
                static_cast<long long>(at), static_cast<double>(actual[static_cast<size_t>(at)]),
                static_cast<double>(expected[static_cast<size_t>(at)])));
    if (tensor->damaged_gaps() > 0) fail(text("%s: wrote between its elements", name.c_str()));
    if (threads == 1)
      single = actual;
    else if (!same_bits(single, actual))
      fail(text("%s: bits differ from those of 1 thread", name.c_str()));
  }
};

template <class T>
Output<T> output(Tensor<T>* tensor, double tolerance, double scale = 0) {
  return {tensor, {tolerance, scale}, {}, {}};
}

typedef std::function<fastconv_status(const fastconv_exec*)> Run;

fastconv_exec exec_with(int threads);

// Runs on the reference, then on everything else, comparing all outputs.
template <class... T>
void run_case(const std::string& operation, const char* part, const Run& run,
              Output<T>... outputs) {
  const std::string name = text("%s%s", operation.c_str(), part);
  const fastconv_exec serial = exec_with(1);
  check(fastconv_set_isa("reference"), name);
  (outputs.run_begins(), ...);
  check(run(&serial), name);
  (outputs.keep_expected(), ...);
  const int failed_before = group_failed;
  for (int i = 0; i < isa_count; ++i) {
    if (std::strcmp(isas[i], "reference") == 0) continue;
    check(fastconv_set_isa(isas[i]), name);
    // 1, and 2 and 4 in turn: more threads than cores spend most of their time waiting.
    for (int threads : {1, (group_passed + i) % 2 == 0 ? 2 : 4}) {
      const fastconv_exec exec = exec_with(threads);
      const std::string where = text("%s %s x%d", name.c_str(), isas[i], threads);
      (outputs.run_begins(), ...);
      check(run(&exec), where);
      (outputs.compare(where, threads), ...);
    }
  }
  if (group_failed == failed_before) ++group_passed;
}

// `run(n)` computes image n alone into `alone` (or, n < 0, the whole batch into `batch`).
template <class T>
void run_image_case(const std::string& operation, const char* part, int64_t images,
                    Tensor<T>* batch, Tensor<T>* alone,
                    const std::function<fastconv_status(int64_t)>& run) {
  const std::string name = text("%s%s", operation.c_str(), part);
  const int failed_before = group_failed;
  for (int i = 0; i < isa_count; ++i) {
    check(fastconv_set_isa(isas[i]), name);
    check(run(-1), name);
    const std::vector<T> all = batch->elements();
    for (int64_t n = 0; n < images; ++n) {
      check(run(n), name);
      const std::vector<T> one = alone->elements();
      const std::vector<T> image(all.begin() + n * static_cast<int64_t>(one.size()),
                                 all.begin() + (n + 1) * static_cast<int64_t>(one.size()));
      if (!same_bits(image, one))
        fail(text("%s %s: an image alone has other bits than in its batch", name.c_str(), isas[i]));
    }
  }
  if (group_failed == failed_before) ++group_passed;
}

// Prints the figures of the cases since the last call, and adds them to the totals.
void end_group(const char* name);

// Layouts of the operands of a case: all alike, and one mixture.
struct Layouts {
  Layout a, b;
};
inline const Layouts layout_pairs[] = {
    {kPlanar, kPlanar}, {kChannelsLast, kChannelsLast}, {kOdd, kOdd}, {kChannelsLast, kPlanar}};

// "max_pool 3x3 s2 f32 planar, odd": an operation, a case of it, and how it runs.
template <class T>
std::string describe(const char* operation, const char* name, const Layouts& layouts) {
  const char* const names[] = {"planar", "channels-last", "odd"};
  return text("%s %s %s %s, %s", operation, name, sizeof(T) == 4 ? "f32" : "f64", names[layouts.a],
              names[layouts.b]);
}

std::string describe(const Shape& shape);  // 2x3x31

}  // namespace kernel_test
