// parallel_run with a lambda, for kernel files (anonymous namespace: one copy a file).
#pragma once

#include "core/parallel.h"

namespace fastconv {
namespace {

// body(task, worker) for every task in [0, tasks).
template <class Body>
inline void parallel_for(int64_t tasks, int threads, const Body& body) {
  parallel_run(
      tasks, threads,
      [](void* context, int64_t task, int worker) {
        (*static_cast<const Body*>(context))(task, worker);
      },
      const_cast<Body*>(&body));
}

}  // namespace
}  // namespace fastconv
