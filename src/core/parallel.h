// The one door to threads; parallel.cpp is the only user of OpenMP.
#pragma once

#include <cstdint>

namespace fastconv {

// Runs body(context, task, worker) for every task in [0, tasks), each exactly once, on at
// most `threads` workers numbered from 0. Which worker runs which task is not determined,
// so a task must own what it writes; then no result depends on the number of threads.
// Serial when threads or tasks is 1, when another thread is inside (a second team would
// only fight the first for the cores), inside someone else's parallel region, in a child
// forked from a process (its OpenMP runtime lost its threads in the fork), and for a while
// after other load on the machine made a region wait for one of its workers.
void parallel_run(int64_t tasks, int threads, void (*body)(void* context, int64_t task, int worker),
                  void* context);

// What a caller may ask for; an OpenMP runtime ends the process over numbers beyond reason.
constexpr int kMostThreads = 4096;

// The process default, and what it was at start: see fastconv_get_num_threads.
int default_threads();
void set_default_threads(int threads);

}  // namespace fastconv
