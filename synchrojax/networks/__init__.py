"""The networks: the only room that imports Flax. It may import core.

``Perceptron`` stands for smooth functions of few inputs. What a model file keeps of a network is
its description and the tensors of its own tree (``described``, ``tensors_of``, ``restored``): of
any module whose state is ``nnx.Param``, and ``nnx.Variable`` for constants.

Adding a network: an ``nnx.Module`` under a name of its own by ``register``, which says what
``__init__``, ``__call__`` and ``settings`` take and return. ``train(..., network=TheClass)`` checks
that before it starts (``checked``); training, model files and the call then take it as they take
``Perceptron``.
"""

from synchrojax.networks._checked import checked
from synchrojax.networks._modules import (
    Ensemble,
    described,
    each_member,
    initial,
    members_of,
    parameters_of,
    register,
    restored,
    tensors_of,
)
from synchrojax.networks._perceptron import ACTIVATIONS, Affine, Perceptron

__all__ = [
    "ACTIVATIONS",
    "Affine",
    "Ensemble",
    "Perceptron",
    "checked",
    "described",
    "each_member",
    "initial",
    "members_of",
    "parameters_of",
    "register",
    "restored",
    "tensors_of",
]
