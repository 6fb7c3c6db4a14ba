// The oracle as one more instruction set.
#define FASTCONV_ISA reference
#include "dispatch/isa_table.h"
