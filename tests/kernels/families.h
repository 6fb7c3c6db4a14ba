// The test of each family of operations; one group of cases a function and element type.
#pragma once

namespace kernel_test {

template <class T>
void test_conv();
template <class T>
void test_linear();
template <class T>
void test_pool();
template <class T>
void test_average_pool();
template <class T>
void test_adaptive_pool();
template <class T>
void test_columns();
template <class T>
void test_pointwise();
template <class T>
void test_softmax();
template <class T>
void test_cross_entropy();

}  // namespace kernel_test
