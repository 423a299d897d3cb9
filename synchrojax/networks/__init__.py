"""The networks: the only room that imports Flax. It may import core.

``Perceptron`` stands for smooth functions of few inputs. What a model file keeps of a network is
its description and the tensors of its own tree (``described``, ``tensors_of``, ``restored``),
whatever module it is.

Adding a network: an ``nnx.Module`` with ``__init__(self, inputs, outputs, *, ..., rngs)``,
``__call__`` from features [inputs, ...] to [outputs, ...], points along the last axes, and
``settings()``, under a name of its own by ``register``. Training, model files and the call then
take it as they take ``Perceptron``.
"""

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
    "described",
    "each_member",
    "initial",
    "members_of",
    "parameters_of",
    "register",
    "restored",
    "tensors_of",
]
