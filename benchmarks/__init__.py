"""Benchmarks of the installed fastconv against the peers installed beside it.

Run from a checkout: ``python -m benchmarks`` (see ``python -m benchmarks --help``).
"""

import sys
from pathlib import Path

# `python -m` puts the checkout first on the path, and the checkout's fastconv/ has no
# compiled core: what is measured is the installed package.
_CHECKOUT = Path(__file__).resolve().parent.parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _CHECKOUT]
