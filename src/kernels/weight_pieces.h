// How the gradient of filters is summed: a task owns some sums, over the blocks of all images. Where
// there are too few tasks the blocks are cut into pieces, whose sums are added in their order. The
// plan says how many of both there are, from the problem alone.
#pragma once

#include "simd/parallel_for.h"
#include "simd/vec.h"

namespace fastconv {
namespace {

// accumulate(task, first block, last block, scratch, sums), then finish(task, sums) once. A
// worker's scratch begins with the plan's patch and panel; its own sums follow.
template <class T, class Plan, class Accumulate, class Finish>
void sum_pieces(const Plan& plan, char* workspace, int threads, const Accumulate& accumulate,
                const Finish& finish) {
  const auto scratch_of = [&](int worker) {
    return workspace + plan.worker_at + static_cast<size_t>(worker) * plan.worker_bytes;
  };
  if (plan.pieces == 1) {
    parallel_for(plan.tasks, threads, [&](int64_t task, int worker) {
      char* scratch = scratch_of(worker);
      T* sums = reinterpret_cast<T*>(scratch) + plan.patch_size + plan.panel_size;
      accumulate(task, 0, plan.blocks, scratch, sums);
      finish(task, sums);
    });
    return;
  }
  T* all_sums = reinterpret_cast<T*>(workspace + plan.sums_at);
  const auto sums_of = [&](int64_t piece, int64_t task) {
    return all_sums + (piece * plan.tasks + task) * plan.sum_size;
  };
  parallel_for(plan.pieces * plan.tasks, threads, [&](int64_t index, int worker) {
    const int64_t piece = index / plan.tasks, task = index % plan.tasks;
    accumulate(task, plan.blocks * piece / plan.pieces, plan.blocks * (piece + 1) / plan.pieces,
               scratch_of(worker), sums_of(piece, task));
  });
  parallel_for(plan.tasks, threads, [&](int64_t task, int) {
    T* sums = sums_of(0, task);
    for (int64_t piece = 1; piece < plan.pieces; ++piece) {
      const T* more = sums_of(piece, task);
      for (int64_t i = 0; i < plan.sum_size; i += kLanes<T>)
        store(sums + i, load(sums + i) + load(more + i));
    }
    finish(task, sums);
  });
}

}  // namespace
}  // namespace fastconv
