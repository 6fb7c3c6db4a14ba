#include "core/choices.h"

#include <atomic>

#include "core/fingerprint.h"
#include "dispatch/args.h"

namespace fastconv {
namespace {

// Open addressing. A key and its algorithm are one word, so that a reader finds both or
// neither: the low byte of the key gives way to the algorithm. A network has tens of problems.
constexpr uint64_t kSlots = 4096, kAlgorithm = 0xff;
static_assert(kConvAlgorithms <= kAlgorithm);

std::atomic<uint64_t> slots[kSlots];  // 0: free
std::atomic<int> used{0};

// The slot of a key, or the free one where it would be; null if there is neither.
std::atomic<uint64_t>* find_slot(uint64_t key) {
  for (uint64_t i = 0; i < kSlots; ++i) {
    std::atomic<uint64_t>& slot = slots[(key / (kAlgorithm + 1) + i) % kSlots];
    const uint64_t here = slot.load(std::memory_order_relaxed);
    if (here == 0 || ((here ^ key) & ~kAlgorithm) == 0) return &slot;
  }
  return nullptr;
}

// How a tensor lies in memory, as far as a choice can depend on it: which of its strides are 1.
// Extents of 1 have none, and the images of a batch may be anywhere.
int64_t layout_of(const int64_t stride[5], int64_t channels, const int64_t extent[kSpatial]) {
  int64_t layout = channels > 1 && stride[1] == 1;
  for (int i = 0; i < kSpatial; ++i) layout = 2 * layout + (extent[i] > 1 && stride[i + 2] == 1);
  return layout;
}

}  // namespace

uint64_t conv_problem_key(const ConvParams& p, int computation, int dtype, bool highest,
                          const char* isa) {
  Fingerprint key;
  for (; *isa != 0; ++isa) key.add(*isa);
  key.add(computation);
  key.add(dtype);
  key.add(highest);
  key.add(p.groups);
  key.add(p.in_channels);
  key.add(p.out_channels);
  key.add_all(p.in);
  key.add_all(p.kernel);
  key.add_all(p.out);
  key.add_all(p.stride);
  key.add_all(p.dilation);
  key.add_all(p.pad_before);
  key.add(layout_of(p.x_stride, p.in_channels, p.in));
  key.add(layout_of(p.y_stride, p.out_channels, p.out));
  return key.value > kAlgorithm ? key.value : kAlgorithm + 1;
}

bool have_choices() { return used.load(std::memory_order_relaxed) > 0; }

int32_t find_choice(uint64_t problem_key) {
  const std::atomic<uint64_t>* slot = find_slot(problem_key);
  if (slot == nullptr) return 0;
  const uint64_t found = slot->load(std::memory_order_relaxed);
  return ((found ^ problem_key) & ~kAlgorithm) == 0 ? static_cast<int32_t>(found & kAlgorithm) : 0;
}

bool set_choice(uint64_t problem_key, int32_t algorithm) {
  const uint64_t chosen = (problem_key & ~kAlgorithm) | static_cast<uint64_t>(algorithm);
  for (;;) {
    std::atomic<uint64_t>* slot = find_slot(problem_key);
    if (slot == nullptr) return algorithm == 0;
    uint64_t before = slot->load(std::memory_order_relaxed);
    if (before != 0 && ((before ^ problem_key) & ~kAlgorithm) != 0) continue;  // just taken
    if (before == 0 && algorithm == 0) return true;
    if (!slot->compare_exchange_strong(before, chosen, std::memory_order_relaxed)) continue;
    used += (algorithm != 0) - ((before & kAlgorithm) != 0);
    return true;
  }
}

void clear_choices() {
  for (std::atomic<uint64_t>& slot : slots)
    used -= (slot.exchange(0, std::memory_order_relaxed) & kAlgorithm) != 0;
}

}  // namespace fastconv
