#include "core/parallel.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "core/clock.h"

namespace fastconv {
namespace {

std::atomic<bool> forked{false};  // this process is a fork: libgomp's threads are not here
std::atomic_flag busy = ATOMIC_FLAG_INIT;

[[gnu::constructor]] void watch_for_fork() {
  pthread_atfork(nullptr, nullptr, [] {
    forked.store(true);
    busy.clear();  // the thread that held it, if any, stayed in the parent
  });
}

// On a core that something else is using, a worker may be off the CPU for a scheduler's slice
// of milliseconds, and the barrier at the end of a region waits for it: training a small
// network beside one busy process took 30 times as long on two threads as on one. So what
// regions wait for a stalled worker is averaged, and a region begins on one thread (which changes
// no bits) for as long as sharing it out is expected to cost; what is left then is shared out.
// A stall alone is forgotten within milliseconds: it is how a worker wakes after a pause, and
// remembering each for 20 ms ran every call after a pause of 50 ms on one thread (`measure_peak`
// of 10 ms: half the FMA peak; all of it since). Each stall that soon follows another doubles how
// long they are remembered, up to 20 ms.
class Patience {
 public:
  // Seconds that a region of now begins alone.
  double begin_alone(double time) {
    expected_ *= memory_ / (memory_ + (time - known_at_));
    known_at_ = time;
    return expected_ > kNegligible ? expected_ : 0;
  }
  // A region that ended at `time` waited `stall` seconds longer than for a last task.
  void shared(double stall, double time) {
    expected_ += kWeight * (std::clamp(stall, 0.0, kLongest) - expected_);
    if (stall < kNotable) return;
    const bool soon = time - stalled_at_ < kSoon * memory_;
    memory_ = soon ? std::min(2 * memory_, kMostMemory) : kLeastMemory;
    stalled_at_ = time;
  }

 private:
  static constexpr double kNegligible = 5e-6, kNotable = 100e-6, kLongest = 10e-3;
  static constexpr double kWeight = 0.25, kLeastMemory = 1e-3, kMostMemory = 20e-3, kSoon = 16;
  // Of the thread that holds `busy`.
  double expected_ = 0, known_at_ = 0, memory_ = kLeastMemory, stalled_at_ = 0;
};
Patience patience;

// A worker that wakes on the calling thread's CPU shares it, spinning, while another may idle, and
// the region waits for a scheduler's slice. So it moves off, and may from then on run wherever it
// might before. Beside a busy process on one of two CPUs, calls after a pause took 1.15 ms on
// average with this and 1.7 ms without. (A team larger than the CPUs has to share them.)
void leave_cpu(int cpu, int team) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || CPU_COUNT(&allowed) < team) return;
  cpu_set_t others = allowed;
  if (cpu >= 0) CPU_CLR(cpu, &others);  // -1 where the system does not tell
  if (sched_setaffinity(0, sizeof(others), &others) == 0)
    sched_setaffinity(0, sizeof(allowed), &allowed);
}

// Tasks are handed out one at a time: cores of a shared machine are never equally fast. But each
// worker begins with a share of its own, then helps with the others': in a network a core finds the
// part of an image in its L2 that it wrote a layer before (ResNet-50 alone on two cores: 1 to 3 %).
struct alignas(64) Share {
  std::atomic<int64_t> next;
  int64_t end;
};
constexpr int kMostShares = 64;  // of more workers some begin together

// CPUs' worth of time a cgroup quota leaves, or a large number: v2 has "max 100000" or
// "200000 100000" in one file, v1 has two files and -1 for no limit.
int cgroup_cpus() {
  constexpr int kUnlimited = 1 << 20;
  double quota = -1, period = 0;
  if (FILE* file = fopen("/sys/fs/cgroup/cpu.max", "re")) {
    char text[32] = "";
    if (fscanf(file, "%31s %lf", text, &period) == 2 && text[0] != 'm') quota = atof(text);
    fclose(file);
  } else if (FILE* quota_file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re")) {
    if (fscanf(quota_file, "%lf", &quota) != 1) quota = -1;
    fclose(quota_file);
    if (FILE* period_file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re")) {
      if (fscanf(period_file, "%lf", &period) != 1) period = 0;
      fclose(period_file);
    }
  }
  if (quota <= 0 || period <= 0) return kUnlimited;
  return std::max(1, static_cast<int>((quota + period - 1) / period));
}

int affinity_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, omp_get_num_procs());
}

// A positive integer from the environment (of a list such as "4,2", its first), else 0.
int from_environment(const char* name) {
  const char* text = getenv(name);
  if (text == nullptr) return 0;
  char* end = nullptr;
  const long value = strtol(text, &end, 10);
  if (end == text || (*end != '\0' && *end != ',')) return 0;
  return value > 0 && value <= kMostThreads ? static_cast<int>(value) : 0;
}

int initial_threads() {
  if (int threads = from_environment("FASTCONV_NUM_THREADS")) return threads;
  if (int threads = from_environment("OMP_NUM_THREADS")) return threads;
  return std::min(affinity_cpus(), cgroup_cpus());
}

// 0 until the first question; two threads asking at once find the same answer.
std::atomic<int> threads_setting{0};

}  // namespace

int default_threads() {
  int threads = threads_setting.load(std::memory_order_relaxed);
  if (threads == 0) {
    int unset = 0;
    threads = initial_threads();
    if (!threads_setting.compare_exchange_strong(unset, threads)) threads = unset;
  }
  return threads;
}

void set_default_threads(int threads) { threads_setting.store(threads); }

void parallel_run(int64_t tasks, int threads, void (*body)(void*, int64_t, int), void* context) {
  const int most = static_cast<int>(std::min<int64_t>(tasks, threads));
  if (most <= 1 || forked.load(std::memory_order_relaxed) || omp_in_parallel() ||
      busy.test_and_set(std::memory_order_acquire)) {
    for (int64_t task = 0; task < tasks; ++task) body(context, task, 0);
    return;
  }
  int64_t first = 0;
  const double begin = now();
  if (const double alone = patience.begin_alone(begin); alone > 0) {
    const double end = begin + alone;
    do {
      body(context, first++, 0);
    } while (first < tasks && now() < end);
  }
  if (const int team = static_cast<int>(std::min<int64_t>(tasks - first, most)); team > 1) {
    Share shares[kMostShares];
    const int count = std::min(team, kMostShares);
    for (int i = 0; i < count; ++i) {
      shares[i].next.store(first + (tasks - first) * i / count, std::memory_order_relaxed);
      shares[i].end = first + (tasks - first) * (i + 1) / count;
    }
    const int callers_cpu = sched_getcpu();
    double done = 0, longest = 0;  // of the calling thread: its last task's end, its longest task
#pragma omp parallel num_threads(team)
    {
      const int worker = omp_get_thread_num();
      double time = worker == 0 ? now() : 0;
      if (worker > 0 && sched_getcpu() == callers_cpu) leave_cpu(callers_cpu, team);
      for (int i = 0; i < count; ++i) {
        Share& share = shares[(worker + i) % count];
        for (int64_t task;
             (task = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;) {
          body(context, task, worker);
          if (worker > 0) continue;
          done = now();
          longest = std::max(longest, done - time);
          time = done;
        }
      }
    }
    if (const double end = now(); longest > 0) patience.shared(end - done - longest, end);
  } else if (team == 1) {
    body(context, first, 0);
  }
  busy.clear(std::memory_order_release);
}

}  // namespace fastconv
