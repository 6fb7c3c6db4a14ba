#!/usr/bin/env python3
"""Check the objects of a build folder: ``python .ci/check_symbols.py BUILD_DIR``.

The one-definition rule across instruction sets: a kernel object may define no weak symbol
(the linker would keep any one of them, perhaps the AVX-512 one, for everybody), and every
strong symbol it defines must carry its instruction set in its name. And the manners of a
library: no object of ours may print or end the process.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

KERNELS = re.compile(r"fastconv_kernels_(\w+)\.dir")
FORBIDDEN = re.compile(
    r"(_?_?exit|abort|quick_exit|__assert_fail|v?f?printf|__v?f?printf_chk|puts|fputs|putchar|"
    r"perror|stdout|stderr|_ZSt4cout|_ZSt4cerr|_ZSt4clog|_ZSt9terminatev)"
)


def symbols(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (type letter, mangled name) for each symbol of an object file."""
    listed = subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout
    for line in listed.splitlines():
        *_, letter, name = line.split()
        yield letter, name


def problems_of(path: Path) -> Iterator[str]:
    """Yield what is wrong with one object file."""
    kernels = KERNELS.search(str(path))
    for letter, name in symbols(path):
        if letter == "U":
            if FORBIDDEN.fullmatch(name):
                yield f"calls {name}"
        elif kernels and letter in "WVuwv":
            yield f"weak symbol {name}"
        elif kernels and letter.isupper() and not carries(name, kernels[1]):
            yield f"symbol {name} does not name its instruction set"


def carries(name: str, isa: str) -> bool:
    """Whether a mangled name contains an identifier ending in ``__isa``."""
    return re.search(rf"__{isa}(?![a-z0-9_])", name) is not None or f"__{isa}E" in name


def main() -> int:
    """Print each problem; 1 if there is any or if there were no kernels to look at."""
    build = Path(sys.argv[1])
    objects = sorted(build.rglob("CMakeFiles/fastconv*.dir/**/*.o"))
    kernels = {match[1] for path in objects if (match := KERNELS.search(str(path)))}
    if not kernels:
        print(f"no kernel objects below {build}", file=sys.stderr)
        return 1
    found = [f"{p.relative_to(build)}: {problem}" for p in objects for problem in problems_of(p)]
    print("\n".join(found) or f"{len(objects)} objects ({', '.join(sorted(kernels))}): clean")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
