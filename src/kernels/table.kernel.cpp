// The kernels of one instruction set as a table for the registry.
#include "dispatch/isa_table.h"
