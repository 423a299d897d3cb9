"""What the rest of the package needs to know of a distribution family.

How to write one: "Implementing a family" in the docstring of this room.
"""

import abc
import collections
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from synchrojax.core import Arrays, Columns, Masks, Points
from synchrojax.distributions import Distribution

Network: TypeAlias = Callable[[Float[Array, "inputs *points"]], Float[Array, "outputs *points"]]
Networks: TypeAlias = Mapping[str, Network]
# features, and what ``combine`` takes beside the output
Inputs: TypeAlias = tuple[Float[Array, "inputs *points"], Float[Arrays, "extra *points"]]
Ends: TypeAlias = tuple[float, float]
# a named tuple of arrays of one shape, each family's own
Point: TypeAlias = Any
Eight: TypeAlias = Float[Arrays, "points 8"]
# points of the unit cube, and columns of what is sampled with them
Cube: TypeAlias = Float[np.ndarray, "points dimensions"]
Sample: TypeAlias = dict[str, Float[np.ndarray, " rows"]]


class Dimensionless(NamedTuple):
    """The eight at nu = 1 Hz and n_e = 1 cm^-3, arrays over points.

    j = n_e nu (...), alpha and rho = n_e / nu (...). ``log_j``, ``log_alpha``: ln j_I and ln
    alpha_I in CGS; Q and V of both over I. ``rho_q``, ``rho_v`` are in units of those of cold
    plasma in the direction ``sine``, ``cosine`` at ``s``: -e^2 / (m_e c) (sine / s)^2 and 2 e^2 /
    (m_e c) cosine / s, since the product may leave float32.
    """

    log_j: Points
    j_q: Points
    j_v: Points
    log_alpha: Points
    alpha_q: Points
    alpha_v: Points
    rho_q: Points
    rho_v: Points
    s: Points
    sine: Points
    cosine: Points


@dataclass(frozen=True)
class Head:
    """One network, declared beside the function that stacks its features.

    ``widths``: of the hidden layers. ``needs``: the heads that are trained before, which
    ``training_rows`` of this one evaluates.
    """

    inputs: int
    outputs: int
    widths: tuple[int, ...] = (32, 32)
    activation: str = "tanh"
    output: str = "linear"
    needs: tuple[str, ...] = ()


class Rows(NamedTuple):
    """What one network learns from, a row each: NumPy or JAX arrays [row, ...].

    ``numbers`` [row]: of the rows of the table; ``features`` [row, inputs]; ``extra`` [row, any]:
    what ``combine`` takes beside the output; ``target`` [row, targets]; ``weight`` [row, targets]:
    turns errors of the target into relative errors of a coefficient, 0 for what does not count.
    """

    numbers: Int[Arrays, " rows"]
    features: Float[Arrays, "rows inputs"]
    extra: Float[Arrays, "rows extra"]
    target: Float[Arrays, "rows targets"]
    weight: Float[Arrays, "rows targets"]


def point_type(*fields: str) -> Any:
    """A named tuple for the points of a family whose parameters are known when it is made."""
    return collections.namedtuple("Point", fields)


def only_of_rho_q(floor: Points) -> Float[Array, "*points 8"]:
    """``error_scale`` of families whose only coefficient that changes sign is rho_Q."""
    return jnp.stack([*[jnp.zeros_like(floor)] * 6, floor, jnp.zeros_like(floor)], -1)


def _everywhere(points: Columns) -> Bool[np.ndarray, " rows"]:
    return np.ones(len(next(iter(points.values()))), bool)


@dataclass(frozen=True)
class Comparison:
    """What is special when a family is compared with the exact integrals; by default nothing is.

    ``physical(points)``: points {input: [n]} near the box, moved to where the distribution exists.
    ``reference(points)``: other points whose exact coefficients ``counted`` needs, or None.
    ``counted(truth, reference)``: where emission and absorption count [n], by exact coefficients
    [n, 8], those at the reference too. ``resolved(name, points)``: where differences of exact
    coefficients resolve their slope with the input ``name`` [n].
    """

    physical: Callable = dict
    reference: Callable = lambda points: None
    counted: Callable = lambda truth, reference: np.ones(len(truth), bool)
    resolved: Callable = lambda name, points: _everywhere(points)


class AbstractFamily(abc.ABC):
    """What a model needs.

    ``name``: what models call the distribution. ``parameters``: those beyond nu, B, n_e and theta,
    in order. ``domain``: name -> (low, high) of the trained box, s = nu / nu_c and theta [rad]
    first. ``distribution``: the exact counterpart. ``heads``: name -> ``Head``. ``block``: points
    that go through the call at once, so that what is computed in between stays in cache.
    ``default_policy``: for input outside of the box. ``results``: what ``results_outside`` tells
    of.
    """

    name: str
    parameters: tuple[str, ...]
    domain: Mapping[str, Ends]
    distribution: Distribution
    heads: Mapping[str, Head]
    block: int
    default_policy: str
    results: tuple[str, ...]
    spectral = False  # whether electrons are given as rows N on a grid gamma

    def __repr__(self) -> str:
        parameters = ", ".join(self.parameters) or "no parameters"
        return f"{type(self).__name__}({self.name}: {parameters})"

    @abc.abstractmethod
    def point(self, s: Points, theta: Points, own: Mapping[str, Points]) -> Point:
        """The point of arrays ``s``, ``theta`` [rad] and {name: array}, all of one shape."""

    @abc.abstractmethod
    def coordinates(self, p: Point) -> dict[str, Points]:
        """{name: value} for the names of ``domain``."""

    @abc.abstractmethod
    def invalid(self, outside: Mapping[str, Masks], p: Point) -> tuple[Masks, Masks]:
        """Where the policy "nan" applies: (emission and absorption, rotativities).

        ``outside``: for the names of ``domain``, where their coordinate is out of its range.
        """

    @abc.abstractmethod
    def evaluate(self, networks: Networks, p: Point, *, clip: bool) -> Dimensionless:
        """The coefficients at ``p``.

        ``networks``: head -> function. ``clip``: hold the learned corrections at the edge of the
        box; else let them run on, finite. Unphysical input has been replaced before; everything
        else must give finite numbers.
        """

    @abc.abstractmethod
    def results_outside(self, networks: Networks, p: Point) -> tuple[Masks, ...]:
        """Where each of ``results`` is outside of the table that the model was trained on."""

    @abc.abstractmethod
    def error_scale(self, p: Point, truth: Eight) -> Eight:
        """The least magnitudes that errors are relative to, like ``truth``; 0: always relative."""

    @abc.abstractmethod
    def with_policy(self, policy: str) -> "AbstractFamily":
        """The family for one policy for all inputs instead of ``default_policy``."""

    @abc.abstractmethod
    def described(self) -> Mapping[str, str]:
        """Entries of the header of a model file that ``DESCRIBED`` makes it from again.

        There are none if its name is enough, for ``FAMILIES``.
        """


class SampledFamily(AbstractFamily):
    """What generation, training and validation need on top.

    ``dimensions``: of the unit cube that ``sample`` maps. ``linear``: inputs that are sampled, and
    whose slopes are taken, with the input itself instead of with its logarithm. ``base``: the
    packaged model whose networks this one holds beside its own, or None. ``single``: the family
    whose tables this one learns from, or None for its own. ``comparison``: see there.
    All inputs follow one policy, and no result is watched.
    """

    default_policy = "clip"
    results = ()
    dimensions: int
    linear: tuple[str, ...]
    base: str | None
    single: "SampledFamily | None" = None
    comparison: Comparison

    def results_outside(self, networks: Networks, p: Point) -> tuple[Masks, ...]:
        return ()

    def with_policy(self, policy: str) -> "SampledFamily":
        return self

    @abc.abstractmethod
    def sample(self, u: Cube, margin: float | int) -> Sample:
        """Points ``u`` of the unit cube to {input: [n]} in the box, widened by ``margin``.

        Inputs are s, theta <= pi / 2 (the other half is symmetric) and ``parameters``, in this
        order.
        """

    @abc.abstractmethod
    def sample_to_learn(self, u: Cube, margin: float | int) -> Sample:
        """The same for what is learned; rows may come in groups, more than ``u`` has."""

    @abc.abstractmethod
    def locked(self, table: Columns) -> "SampledFamily":
        """The family with the constants that suit a table, if it has any."""

    @abc.abstractmethod
    def replaced(self, *, distribution: Distribution) -> "SampledFamily":
        """The family with that ``distribution``, since a model file does not hold a user's f."""

    @abc.abstractmethod
    def training_rows(self, head: str, table: Columns, networks: Networks) -> Rows:
        """What the network of ``head`` learns from a table {name: [row]} of inputs and the eight.

        ``networks``: of the heads that it needs.
        """

    @abc.abstractmethod
    def combine(
        self,
        head: str,
        output: Float[Arrays, "outputs *points"],
        extra: Float[Arrays, "extra *points"],
    ) -> Float[Arrays, "parts *points"]:
        """What is compared with the target: of output [outputs, ...] and ``extra`` [any, ...]."""


class PackagedFamily(SampledFamily):
    """What has no settings beside its name: one object.

    It stands at the top of its module, under its name in capitals.
    """

    def __reduce__(self) -> str:
        return self.name.upper()  # copies and other processes get that object

    def described(self) -> Mapping[str, str]:
        return {}

    def locked(self, table: Columns) -> "PackagedFamily":
        return self

    def replaced(self, *, distribution: Distribution) -> "PackagedFamily":
        if distribution is not self.distribution:
            raise ValueError(
                f"{self.name!r} stands for one distribution, {type(self.distribution).__name__}: "
                "give the family of its name, or a Family of your own under another one"
            )
        return self
