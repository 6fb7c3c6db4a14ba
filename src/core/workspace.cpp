#include "core/workspace.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(memory, size)
#define ASAN_UNPOISON_MEMORY_REGION(memory, size)
#endif

namespace fastconv {
namespace {

// A block is a header of one cache line, then the memory handed out. Sizes are rounded so
// that a network's many shapes share blocks: four classes an octave, 19 % waste at most.
struct Block {
  size_t size;    // of the memory handed out: a class size
  size_t mapped;  // bytes of the mapping, 0 when it came from aligned_alloc
  Block* next;    // in a free list
};
static_assert(sizeof(Block) <= kAlignment);

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kMinSize = 256;
constexpr int kClasses = 4 * 64;
// Blocks kept for reuse stay below this share of everything the pool has had in use at once,
// so that the cache follows the program instead of growing with every new shape.
constexpr size_t kCacheFloor = size_t{64} << 20;

// POSIX's own: it needs no constructor, no destructor (arrays may be freed after static ones
// have run) and throws nothing.
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
struct Lock {
  Lock() { pthread_mutex_lock(&mutex); }
  ~Lock() { pthread_mutex_unlock(&mutex); }
};
Block* free_blocks[kClasses];
size_t in_use = 0, cached = 0, peak = 0;

[[gnu::constructor]] void hold_across_fork() {
  pthread_atfork([] { pthread_mutex_lock(&mutex); }, [] { pthread_mutex_unlock(&mutex); },
                 [] { pthread_mutex_unlock(&mutex); });
}

int class_of(size_t size, size_t* class_size) {
  size_t step = kMinSize / 8, top = kMinSize;
  int index = 0;
  while (size > top) {
    step *= 2;
    top *= 2;
    index += 4;
  }
  // size is in (top / 2, top]: quarters of that octave.
  size_t candidate = index == 0 ? top : top / 2 + step;
  int quarter = index == 0 ? 3 : 0;
  while (candidate < size) {
    candidate += step;
    ++quarter;
  }
  *class_size = candidate;
  return index + quarter;
}

Block* block_of(void* memory) {
  return reinterpret_cast<Block*>(static_cast<char*>(memory) - kAlignment);
}

Block* create(size_t size) {
  const size_t total = size + kAlignment;
  if (total < kHugePage) {
    auto* block = static_cast<Block*>(aligned_alloc(kAlignment, (total + 63) / 64 * 64));
    if (block != nullptr) *block = {size, 0, nullptr};
    return block;
  }
  // Map one huge page more than needed and give back both ends: only memory that begins on
  // a huge-page boundary gets huge pages from its first byte.
  const size_t mapped = (total + kHugePage - 1) / kHugePage * kHugePage;
  void* raw =
      mmap(nullptr, mapped + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  char* begin = static_cast<char*>(raw);
  const size_t head = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  char* memory = begin + head;
  if (head > 0) munmap(begin, head);
  if (head < kHugePage) munmap(memory + mapped, kHugePage - head);
#ifdef MADV_HUGEPAGE
  madvise(memory, mapped, MADV_HUGEPAGE);
#endif
  auto* block = reinterpret_cast<Block*>(memory);
  *block = {size, mapped, nullptr};
  return block;
}

void destroy(Block* block) {
  if (block->mapped != 0)
    munmap(block, block->mapped);
  else
    free(block);
}

size_t trim_locked(size_t keep) {
  size_t freed = 0;
  for (int index = kClasses - 1; index >= 0; --index) {
    while (cached > keep && free_blocks[index] != nullptr) {
      Block* block = free_blocks[index];
      free_blocks[index] = block->next;
      cached -= block->size;
      freed += block->size;
      destroy(block);
    }
  }
  return freed;
}

// A free block of at least this class and below `end`, the smallest; or null.
Block* take_free(int index, int end) {
  for (; index < end; ++index) {
    Block* block = free_blocks[index];
    if (block == nullptr) continue;
    free_blocks[index] = block->next;
    cached -= block->size;
    return block;
  }
  return nullptr;
}

void destroy_largest_free() {
  for (int index = kClasses - 1; index >= 0; --index)
    if (Block* block = take_free(index, index + 1)) return destroy(block);
}

}  // namespace

void* pool_acquire(size_t size, Use use) {
  if (size > SIZE_MAX / 4) return nullptr;
  size_t class_size;
  const int index = class_of(std::max(size, kMinSize), &class_size);
  const Lock lock;
  const bool scratch = use == Use::kScratch;
  Block* block = take_free(index, scratch ? kClasses : index + 1);
  if (block == nullptr) {
    if (scratch) destroy_largest_free();  // the one that served calls before
    block = create(class_size);
    if (block == nullptr) {  // what is kept for reuse may be what is missing
      trim_locked(0);
      block = create(class_size);
      if (block == nullptr) return nullptr;
    }
  }
  in_use += block->size;
  peak = std::max(peak, in_use);
  char* memory = reinterpret_cast<char*>(block) + kAlignment;
  // What was not asked for is not to be touched, though the class has it.
  ASAN_POISON_MEMORY_REGION(memory + size, block->size - size);
  return memory;
}

void pool_release(void* memory) {
  if (memory == nullptr) return;
  Block* block = block_of(memory);
  ASAN_UNPOISON_MEMORY_REGION(memory, block->size);
  const Lock lock;
  size_t class_size;
  const int index = class_of(block->size, &class_size);
  in_use -= block->size;
  // Others make room: what was used last is what a loop will ask for next.
  const size_t limit = std::max(kCacheFloor, peak);
  if (cached + block->size > limit) trim_locked(limit - block->size);
  block->next = free_blocks[index];
  free_blocks[index] = block;
  cached += block->size;
}

size_t pool_trim() {
  const Lock lock;
  peak = in_use;
  return trim_locked(0);
}

void pool_stats(size_t* used, size_t* kept) {
  const Lock lock;
  *used = in_use;
  *kept = cached;
}

}  // namespace fastconv
