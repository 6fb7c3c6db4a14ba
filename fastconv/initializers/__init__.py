"""First values of parameters, under Keras' names.

An initializer is called with a shape in Keras' order, (kernel..., in, out) for a convolution
and (in, out) for a dense layer, and a dtype. With ``seed`` it returns the same values at
every call; without, each call takes its seed from the stream that
`fastconv.utils.set_random_seed` starts. Values are drawn in float64 and rounded, so float32
and float64 models of the same seed start alike.

With fan_in = prod(kernel) * in and fan_out = prod(kernel) * out:

=============== ============================================= ======================
class           distribution                                  source
=============== ============================================= ======================
GlorotUniform   uniform in +-sqrt(6 / (fan_in + fan_out))     Glorot & Bengio 2010
GlorotNormal    normal, variance 2 / (fan_in + fan_out), cut  Glorot & Bengio 2010
HeUniform       uniform in +-sqrt(6 / fan_in)                 He et al. 2015
HeNormal        normal, variance 2 / fan_in, cut              He et al. 2015
LecunUniform    uniform in +-sqrt(3 / fan_in)                 LeCun et al. 1998
LecunNormal     normal, variance 1 / fan_in, cut              LeCun et al. 1998
=============== ============================================= ======================

"Cut": redrawn beyond two standard deviations of the uncut normal, and scaled so that the
variance is what the table says, as Keras does.

X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural
networks, AISTATS 2010. K. He et al., Delving deep into rectifiers, ICCV 2015,
arXiv 1502.01852. Y. LeCun, L. Bottou, G. B. Orr, K.-R. Mueller, Efficient BackProp, in Neural
networks: tricks of the trade, 1998, section 4.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastconv.identifiers import resolve
from fastconv.initializers.base import Initializer
from fastconv.initializers.drawn import Orthogonal, RandomNormal, RandomUniform, TruncatedNormal
from fastconv.initializers.fixed import Constant, Identity, Ones, Zeros
from fastconv.initializers.scaled import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "get",
    "serialize",
]

_BY_NAME: dict[str, type[Initializer]] = {
    "constant": Constant,
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "identity": Identity,
    "lecun_normal": LecunNormal,
    "lecun_uniform": LecunUniform,
    "ones": Ones,
    "orthogonal": Orthogonal,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "zeros": Zeros,
}
#: Keras' short names.
_ALIASES: dict[str, type[Initializer]] = {
    "normal": RandomNormal,
    "one": Ones,
    "uniform": RandomUniform,
    "zero": Zeros,
}


def get(identifier: str | Initializer | Mapping[str, Any]) -> Initializer:
    """Return the initializer that a name, a `serialize`d one or an object stands for.

    Examples
    --------
    >>> type(get("he_normal")).__name__, type(get("HeNormal")).__name__
    ('HeNormal', 'HeNormal')
    >>> get("he")
    Traceback (most recent call last):
        ...
    ValueError: initializer: got 'he', expected an Initializer or one of constant, \
glorot_normal, glorot_uniform, he_normal, he_uniform, identity, lecun_normal, lecun_uniform, ones, \
orthogonal, random_normal, random_uniform, truncated_normal, variance_scaling, zeros
    """
    return resolve(
        "initializer", identifier, Initializer, _BY_NAME, "an Initializer", aliases=_ALIASES
    )


def serialize(initializer: Initializer) -> dict[str, Any]:
    """Return what `get` makes an equal initializer of; plain enough for JSON.

    Examples
    --------
    >>> serialize(HeUniform(seed=3))
    {'class_name': 'HeUniform', 'config': {'seed': 3}}
    """
    return {"class_name": type(initializer).__name__, "config": initializer.get_config()}
