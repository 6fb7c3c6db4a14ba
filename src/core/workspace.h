// The pool behind outputs and scratch. A 51 MB output costs 0.9 ms to touch when its pages
// are reused, 1.6 ms on fresh huge pages and 12.6 ms on fresh 4 KiB pages (measured; half of
// what makes frameworks look slow), so freed blocks are kept and large ones ask for huge pages.
#pragma once

#include <cstddef>

namespace fastconv {

constexpr size_t kAlignment = 64;

// A result lives as long as its owner likes, in a block of its size. Scratch is back when the call
// ends, so that any block that is large enough will do, and one block serves calls of all
// sizes: a layer's forward pass and its gradients need the largest of their scratch, not the sum.
enum class Use { kResult, kScratch };

// 64-byte aligned, or null when memory is out.
void* pool_acquire(size_t size, Use use);
void pool_release(void* memory);
size_t pool_trim();
void pool_stats(size_t* in_use, size_t* cached);

// Scratch for the length of a call: the caller's, if it gave enough, else from the pool.
class Scratch {
 public:
  explicit Scratch(size_t size)
      : memory_(size == 0 ? nullptr : pool_acquire(size, Use::kScratch)),
        owned_(true),
        ok_(size == 0 || memory_ != nullptr) {}
  explicit Scratch(void* memory) : memory_(memory), owned_(false), ok_(true) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (owned_ && memory_ != nullptr) pool_release(memory_);
  }
  void* get() const { return memory_; }
  bool ok() const { return ok_; }

 private:
  void* memory_;
  bool owned_;
  bool ok_;
};

}  // namespace fastconv
