"""How convolutions are computed: explained, and measured where the model may be wrong.

Which algorithm runs is decided by a model of costs from the shapes, the dtype, the layout, the
precision and the instruction set. `explain` says what it decides and why; `autotune` measures
the candidates on this machine and lets the fastest one run from then on. Neither the batch nor
the threads ever take part, so the bits of an image depend on neither.
"""

from fastconv.plans.choices import load_choices
from fastconv.plans.explanation import Plan, explain
from fastconv.plans.tuning import Measurement, autotune, clear_choices

__all__ = ["Measurement", "Plan", "autotune", "clear_choices", "explain", "load_choices"]
