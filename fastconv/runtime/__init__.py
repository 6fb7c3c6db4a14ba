"""The library itself: threads, instruction sets, memory, where it is installed.

All of this is about speed, never about results: the bits of a result do not depend on the
number of threads. Instruction sets may differ in the last bits.
"""

from fastconv.runtime.execution import (
    available_isas,
    get_num_threads,
    isa,
    precision,
    set_isa,
    set_num_threads,
    threads,
    use_isa,
)
from fastconv.runtime.installation import (
    get_cmake_dir,
    get_config,
    get_include,
    get_library_dir,
    show_config,
)
from fastconv.runtime.memory import PoolStats, pool_stats, trim
from fastconv.runtime.peak import measure_peak

__all__ = [
    "PoolStats",
    "available_isas",
    "get_cmake_dir",
    "get_config",
    "get_include",
    "get_library_dir",
    "get_num_threads",
    "isa",
    "measure_peak",
    "pool_stats",
    "precision",
    "set_isa",
    "set_num_threads",
    "show_config",
    "threads",
    "trim",
    "use_isa",
]
