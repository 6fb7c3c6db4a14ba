#include "dispatch/registry.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "core/status.h"
#include "dispatch/cpu_features.h"

namespace fastconv {

#define FASTCONV_ISA_ENTRY(isa) extern const InstructionSet instruction_set__##isa;
#include "isas.inc"
FASTCONV_ISA_ENTRY(reference)
#undef FASTCONV_ISA_ENTRY

namespace {

// Best first; the oracle last, so that it is only ever chosen by name.
constexpr const InstructionSet* kCompiled[] = {
#define FASTCONV_ISA_ENTRY(isa) &instruction_set__##isa,
#include "isas.inc"
    FASTCONV_ISA_ENTRY(reference)
#undef FASTCONV_ISA_ENTRY
};

std::atomic<const InstructionSet*> active{nullptr};

const InstructionSet* find(const char* name, const char* asked_by) {
  bool compiled = false;
  for (const InstructionSet* isa : kCompiled) {
    if (strcmp(isa->name, name) != 0) continue;
    if (cpu_supports(name)) return isa;
    compiled = true;
  }
  // Name all of them: the message is the only help a user of the variable gets.
  char names[160] = "";
  for (const InstructionSet* isa : kCompiled) {
    if (!cpu_supports(isa->name)) continue;
    if (names[0] != '\0') strncat(names, ", ", sizeof(names) - strlen(names) - 1);
    strncat(names, isa->name, sizeof(names) - strlen(names) - 1);
  }
  fail(FASTCONV_UNAVAILABLE, "%s: %s '%.40s', expected one of: %s", asked_by,
       compiled ? "this CPU or operating system does not support" : "this build does not have",
       name, names);
  return nullptr;
}

const InstructionSet* initial() {
  // An override that cannot be honoured is an error at every call, never a silent fallback.
  if (const char* forced = getenv("FASTCONV_ISA"); forced != nullptr && forced[0] != '\0')
    return find(forced, "FASTCONV_ISA");
  for (const InstructionSet* isa : kCompiled)
    if (cpu_supports(isa->name)) return isa;
  return nullptr;
}

}  // namespace

const InstructionSet* active_isa() {
  const InstructionSet* isa = active.load(std::memory_order_acquire);
  if (isa != nullptr) return isa;
  isa = initial();
  if (isa != nullptr) active.store(isa, std::memory_order_release);
  return isa;
}

}  // namespace fastconv

using namespace fastconv;

int fastconv_available_isas(const char** names, int capacity) {
  int count = 0;
  for (const InstructionSet* isa : kCompiled) {
    if (!cpu_supports(isa->name)) continue;
    if (names != nullptr && count < capacity) names[count] = isa->name;
    ++count;
  }
  return count;
}

const char* fastconv_isa(void) {
  const InstructionSet* isa = active_isa();
  return isa != nullptr ? isa->name : nullptr;
}

fastconv_status fastconv_set_isa(const char* name) {
  const InstructionSet* isa = name != nullptr ? find(name, "isa") : initial();
  if (isa == nullptr) return FASTCONV_UNAVAILABLE;
  active.store(isa, std::memory_order_release);
  return FASTCONV_OK;
}
