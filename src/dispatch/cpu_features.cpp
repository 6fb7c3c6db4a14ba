// Compiled with baseline flags only: it runs before anything is known about the CPU.
#include "dispatch/cpu_features.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace fastconv {
namespace {

#if defined(__x86_64__)
// Registers the operating system saves on a context switch (XCR0): using wider ones than
// that would corrupt them silently, whatever CPUID says of the instructions.
uint64_t saved_registers() {
  uint32_t eax, edx;
  __asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  return (static_cast<uint64_t>(edx) << 32) | eax;
}

struct Features {
  bool avx2 = false, avx512 = false, avx512_bf16 = false, avx512_vnni = false;
  Features() {
    uint32_t eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return;
    const bool fma = ecx & bit_FMA, osxsave = ecx & bit_OSXSAVE;
    if (!osxsave || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return;
    constexpr uint64_t kYmm = 0x6, kZmm = 0xe6;
    const uint64_t saved = saved_registers();
    avx2 = fma && (ebx & bit_AVX2) && (saved & kYmm) == kYmm;
    avx512 = avx2 && (ebx & bit_AVX512F) && (ebx & bit_AVX512BW) && (ebx & bit_AVX512DQ) &&
             (ebx & bit_AVX512VL) && (saved & kZmm) == kZmm;
    avx512_vnni = avx512 && (ecx & bit_AVX512VNNI);
    constexpr uint32_t kBf16 = 1u << 5;
    avx512_bf16 = avx512 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & kBf16);
  }
};

bool hides_extensions() {
  const char* asked = getenv("FASTCONV_NO_EXTENSIONS");
  return asked != nullptr && strcmp(asked, "") != 0 && strcmp(asked, "0") != 0;
}
#endif

}  // namespace

bool cpu_supports(const char* isa) {
#if defined(__x86_64__)
  const Features features;
  if (strcmp(isa, "avx512") == 0) return features.avx512;
  if (strcmp(isa, "avx2") == 0) return features.avx2;
#endif
  // The rest is every processor's baseline: sse2, neon, scalar, reference.
  (void)isa;
  return true;
}

bool cpu_has(Extension extension) {
  // A bit for each, looked up once: CPUID takes microseconds on a virtual machine.
  static std::atomic<int> known{-1};
  int extensions = known.load(std::memory_order_relaxed);
  if (extensions < 0) {
    extensions = 0;
#if defined(__x86_64__)
    if (!hides_extensions()) {
      const Features features;
      if (features.avx512_bf16) extensions |= 1 << static_cast<int>(Extension::avx512_bf16);
      if (features.avx512_vnni) extensions |= 1 << static_cast<int>(Extension::avx512_vnni);
    }
#endif
    known.store(extensions, std::memory_order_relaxed);
  }
  return extensions >> static_cast<int>(extension) & 1;
}

}  // namespace fastconv
