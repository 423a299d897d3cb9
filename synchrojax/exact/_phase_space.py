"""Phase space in the frame in which the wave crosses B at right angles.

The wave crosses B at right angles in a frame boosted along B by cos(theta); there, with s' = s
sin(theta), Lorentz factor g' and parallel momentum u' = sinh(v), the Bessel order is a = s' g' and
a^2 - z^2 = (s' w)^2, w = cosh(v). Slices at a fixed outer coordinate, in the laboratory Lorentz
factor or in the harmonic, have limits, nodes and a measure each.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import Arrays, Reals
from synchrojax.distributions import Distribution
from synchrojax.special import (
    composite,
    debye_angle,
    legendre,
    maximise,
    scaled_bessel,
    scan,
    trim,
)

DROP = 28.0  # the integrand is trimmed where it is below e^-28 of its peak
GROWTH = 7.0 / 3.0  # kernels, measure and width of a slice grow with this power of gamma
_LOOKS = 48  # places beside breaks at which a slice is looked at for where it matters
_CUTS, _NODES_BETWEEN = 12, 8  # panels of that part beside breaks, and nodes of each
_PIECES = 4  # between breaks have all of the outer nodes each, more of them share
_MANY_PIECES, _FEWEST_NODES = 128, (12, 8)  # but for so many each
SPLITS = 0.39, 0.54  # where the rules that tell the error cut each panel in two


class Resolution(NamedTuple):
    """Gauss-Legendre nodes: outer and inner, emission and (per half) rotativities.

    ``harmonics``: twice this many are summed one by one; of more, this many, and as many nodes for
    their tail. ``rotation_cluster``: nodes gather towards momenta along B like this power.
    ``principal``: the same and the inner nodes for the principal value, a small part of the
    rotativities.
    """

    outer: int = 40
    inner: int = 48
    harmonics: int = 40
    principal: tuple[int, int] = (24, 40)
    rotation_outer: int = 56
    rotation_inner: tuple[int, int] = (32, 24)
    rotation_cluster: int = 1


# tails over many decades of gamma, and pitch angles that f may favour
_EXTENDED = Resolution(outer=80, rotation_outer=160, rotation_inner=(36, 48), rotation_cluster=4)


class Integrand(NamedTuple):
    """One direction and one distribution.

    s' = s sin(theta), ln f(gamma, mu) up to its norm, bounds and jumps. ``breaks``: Lorentz factors
    where f is not smooth, or None. ``rule``: see ``panel_between``.
    """

    s_perp: jax.Array
    sine: jax.Array
    cosine: jax.Array
    log_f: Callable
    bounds: tuple[Reals, Reals]
    jumps: tuple[tuple[Reals, float], ...]
    edges: str
    breaks: Any  # an array, or none
    rule: Any  # a number, or none


def integrand_of(
    distribution: Distribution,
    parameters: Mapping[str, Reals],
    s: float | Float[Array, ""],
    theta: float | Float[Array, ""],
    rule: Any,
) -> Integrand:
    sine = jnp.maximum(jnp.abs(jnp.sin(theta)), 1e-9)

    def log_f(gamma: Reals, mu: Reals, across: Reals) -> Reals:
        return distribution.log_shape(gamma, mu, across, **parameters)

    low, high = (jnp.asarray(b, float) for b in distribution.gamma_bounds(**parameters))
    jumps = tuple(distribution.jumps(**parameters))
    breaks: Any = distribution.breaks(**parameters)
    if not isinstance(breaks, jax.Array):
        breaks = jnp.stack([jnp.asarray(b, float) for b in breaks]) if breaks else None
    return Integrand(
        s * sine, sine, jnp.cos(theta), log_f, (low, high), jumps, distribution.edges, breaks, rule
    )


def chosen(here: Integrand, n: int, of: Callable) -> tuple[Float[Arrays, " nodes"], ...]:
    """``of`` nodes and weights on [0, 1].

    Gauss-Legendre, or another rule of as many nodes, which tells the error. ``of`` is computed
    before the choice: what the standard rule gives does not depend on there being others.
    """
    if here.rule is None:
        return of(*legendre(n))
    rules = [of(*legendre(n)), *(of(*composite(n, split)) for split in SPLITS)]
    return tuple(
        jnp.asarray(np.stack(rows))[here.rule.astype(int)] for rows in zip(*rules, strict=True)
    )


def panel_between(
    here: Integrand, lo: Float[Array, ""], hi: Float[Array, ""], n: int
) -> tuple[Float[Array, " nodes"], Float[Array, " nodes"]]:
    """Nodes and weights between two scalars."""
    x, w = chosen(here, n, lambda x, w: (x, w))
    return lo + (hi - lo) * x, (hi - lo) * w


def panels_between(
    here: Integrand, lo: Float[Array, " panels"], hi: Float[Array, " panels"], n: int
) -> tuple[Float[Array, " nodes"], Float[Array, " nodes"]]:
    """The same between each of ``lo`` and its ``hi``, in one row."""
    x, w = jax.vmap(lambda a, b: panel_between(here, a, b, n))(lo, hi)
    return x.ravel(), w.ravel()


class Node(NamedTuple):
    """A point of phase space in both frames."""

    g: jax.Array  # g'
    u: jax.Array  # u' = sinh v
    w: jax.Array  # cosh v
    u_perp: jax.Array
    gamma: jax.Array
    mu: jax.Array
    across: jax.Array  # 1 - mu^2


def _node(
    here: Integrand,
    g: Float[Array, "..."],
    gap: Float[Array, "*nodes"],
    v: Float[Array, "*nodes"],
    gamma: Float[Array, "..."],
) -> Node:
    """From g', g' - w (kept apart to save digits), v and gamma."""
    w, u = jnp.cosh(v), jnp.sinh(v)
    u_perp = jnp.sqrt(jnp.maximum(gap, 1e-20 * w) * (g + w))  # the floor is met only at zero weight
    u_par = here.sine * u + here.cosine * gamma
    gamma = jnp.broadcast_to(gamma, jnp.shape(u))
    total = jnp.hypot(u_par, u_perp)
    return Node(g, u, w, u_perp, gamma, u_par / total, (u_perp / total) ** 2)


def bessel_at(here: Integrand, node: Node, **options: bool) -> Any:
    return scaled_bessel(here.s_perp * node.g, node.u_perp / node.g, node.w / node.g, **options)


def bessel_exponent(here: Integrand, node: Node) -> Float[Array, "*nodes"]:
    """xi, with J ~ exp(-xi) and Y ~ exp(xi)."""
    return here.s_perp * node.g * debye_angle(node.u_perp / node.g, node.w / node.g)[1]


def _log_weight(here: Integrand, node: Node) -> Float[Array, "*nodes"]:
    """ln of f exp(-2 xi), the part of the emission integrand that spans many decades."""
    return here.log_f(node.gamma, node.mu, node.across) - 2.0 * bessel_exponent(here, node)


def log_slope(here: Integrand, node: Node) -> Float[Array, "*nodes"]:
    """D ln f = (d/dgamma at fixed u_par + cos(theta) d/du_par at fixed gamma) ln f."""
    gamma, mu, across = node.gamma, node.mu, node.across
    u = jnp.sqrt((gamma - 1.0) * (gamma + 1.0))
    one = jnp.ones_like(gamma)
    along_gamma = jax.jvp(lambda t: here.log_f(t, mu, across), (gamma,), (one,))[1]
    along_mu = jax.jvp(lambda t, sq: here.log_f(gamma, t, sq), (mu, across), (one, -2.0 * mu))[1]
    # (cos(theta) - mu gamma / u) / u, without cancellation along B
    return along_gamma - along_mu * (here.cosine + here.sine * node.u * gamma) / u**3


class LabSlices:
    """gamma = cosh(chi) fixed; dg' du' = sinh(chi) sin(theta) dchi cosh(v) dv."""

    @staticmethod
    def limits(here: Integrand, chi: Float[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        tilt = jnp.arcsinh(here.cosine / here.sine)
        return -tilt - chi, -tilt + chi

    @staticmethod
    def node(here: Integrand, chi: Float[Array, ""], v: Float[Array, "*nodes"]) -> Node:
        delta = v + jnp.arcsinh(here.cosine / here.sine)  # rapidity along B in the laboratory
        gap = 2.0 * here.sine * jnp.sinh(0.5 * (chi - delta)) * jnp.sinh(0.5 * (chi + delta))
        gap = jnp.maximum(gap, 0.0)
        return _node(here, jnp.cosh(v) + gap, gap, v, jnp.cosh(chi))

    @staticmethod
    def measure(here: Integrand, chi: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.sinh(chi) * here.sine


class HarmonicSlices:
    """a = s' g' = s' cosh(eta) fixed; the measure is that of a sum over harmonics."""

    @staticmethod
    def crossings(
        here: Integrand, a: Float[Array, ""], gammas: Sequence[Reals]
    ) -> list[Float[Array, ""]]:
        """v where gamma has these values; far away where the slice has none of them."""
        cosine = jnp.where(jnp.abs(here.cosine) < 1e-200, 1e-200, here.cosine)
        return [jnp.arcsinh((here.sine * b - a / here.s_perp) / cosine) for b in gammas]

    @staticmethod
    def limits(here: Integrand, a: Float[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        eta = arccosh(a / here.s_perp)
        ends = HarmonicSlices.crossings(here, a, here.bounds)
        lo = jnp.clip(jnp.minimum(*ends), -eta, eta)
        return lo, jnp.clip(jnp.maximum(*ends), lo, eta)

    @staticmethod
    def edges(here: Integrand, a: Float[Array, ""]) -> Float[Array, " edges"]:
        """Limits and breaks between them, in order; breaks outside lie on the limits."""
        lo, hi = HarmonicSlices.limits(here, a)
        inner = jnp.stack(HarmonicSlices.crossings(here, a, list(here.breaks)))
        return jnp.concatenate([lo[None], jnp.sort(jnp.clip(inner, lo, hi)), hi[None]])

    @staticmethod
    def node(here: Integrand, a: Float[Array, ""], v: Float[Array, "*nodes"]) -> Node:
        g, eta = a / here.s_perp, arccosh(a / here.s_perp)
        gap = jnp.maximum(2.0 * jnp.sinh(0.5 * (eta - v)) * jnp.sinh(0.5 * (eta + v)), 0.0)
        gamma = (g + here.cosine * jnp.sinh(v)) / here.sine
        return _node(here, g, gap, v, jnp.maximum(gamma, 1.0 + 1e-15))

    @staticmethod
    def measure(here: Integrand, a: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.ones_like(a) / here.s_perp


Slices: TypeAlias = type[LabSlices] | type[HarmonicSlices]


def arccosh(gamma: Reals) -> Float[Array, "..."]:
    return 2.0 * jnp.arcsinh(jnp.sqrt(0.5 * jnp.maximum(gamma - 1.0, 1e-300)))


def chi_edges(here: Integrand) -> Float[Array, " edges"]:
    """chi = arccosh(gamma) at the bounds and at the breaks between them, in order.

    Breaks outside go to the middle, where one panel edge more does no harm: every panel keeps its
    width.
    """
    lo, hi = map(arccosh, here.bounds)
    chi = arccosh(here.breaks)
    outside = (chi <= jnp.maximum(lo * (1.0 + 1e-9), 1e-3)) | (chi >= hi * (1.0 - 1e-9))
    return jnp.concatenate([lo[None], jnp.sort(jnp.where(outside, 0.5 * (lo + hi), chi)), hi[None]])


def follow(
    trimmed: Float[Array, "*ends"], fixed: Float[Array, "*ends"], live: Float[Array, "*ends"]
) -> Float[Array, "*ends"]:
    """Ends of panels: trimmed ones stay, those on an edge move with it.

    Thus derivatives know its motion.
    """
    return jnp.where(jnp.abs(trimmed - fixed) > 1e-12 * (1.0 + jnp.abs(fixed)), trimmed, live)


def scan_pieces(
    function: Callable, edges: Float[Array, " edges"], drop: float
) -> tuple[Float[Array, " pieces"], Float[Array, " pieces"], Float[Array, " pieces"]]:
    """``scan`` between neighbouring edges: all left ends, right ends and highest values."""

    def one(
        lo: Float[Array, ""], hi: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        left, right, top = scan(function, lo, jnp.maximum(hi, lo + 1e-9), drop)
        return jnp.minimum(left, hi), jnp.minimum(right, hi), top

    return jax.vmap(one)(edges[:-1], edges[1:])


def _looked_at(
    frozen: Integrand, outer: Float[Array, ""]
) -> tuple[Float[Array, " places"], Float[Array, " places"]]:
    """Rapidities along a harmonic that f has breaks on, in order, and the log-weights there."""
    edges = HarmonicSlices.edges(frozen, outer)
    places = jnp.sort(jnp.concatenate([edges, jnp.linspace(edges[0], edges[-1], _LOOKS)]))
    return places, _log_weight(frozen, HarmonicSlices.node(frozen, outer, places))


def best(frozen: Integrand, slices: Slices, outer: Float[Array, ""]) -> Float[Array, ""]:
    def along(v: Float[Array, ""]) -> Float[Array, ""]:
        return _log_weight(frozen, slices.node(frozen, outer, v))

    if frozen.breaks is None or slices is LabSlices:
        low, high = slices.limits(frozen, outer)
        return maximise(along, low, high, 26)[1]
    return jnp.max(_looked_at(frozen, outer)[1])


def slice_nodes(
    here: Integrand, frozen: Integrand, slices: Slices, outer: Float[Array, ""], nodes: int
) -> tuple[Float[Array, " nodes"], Float[Array, " nodes"]]:
    """v and its weights, where a slice matters; between breaks panels of their own."""
    still = jax.lax.stop_gradient(outer)

    def along(v: Float[Array, ""]) -> Float[Array, ""]:
        return _log_weight(frozen, slices.node(frozen, still, v))

    if here.breaks is None or slices is LabSlices:
        (start, end), live = slices.limits(frozen, still), slices.limits(here, outer)
        low, high = map(follow, trim(along, start, end, DROP), (start, end), live)
        return panel_between(here, low, high, nodes)
    places, weight = _looked_at(frozen, still)
    high_up = weight > jnp.max(weight) - DROP
    count = len(places)
    first = jnp.maximum(jnp.argmax(high_up) - 1, 0)
    last = jnp.minimum(count - jnp.argmax(high_up[::-1]), count - 1)
    low, high = places[first], places[last]
    fixed, moving = (
        HarmonicSlices.edges(frozen, still),
        HarmonicSlices.edges(here, outer),
    )
    inner = jnp.where((fixed > low) & (fixed < high), moving, jnp.clip(fixed, low, high))
    whole = jnp.linspace(low, high, _CUTS + 1)
    edges = jnp.sort(jnp.concatenate([inner, whole]))
    return panels_between(here, edges[:-1], edges[1:], _NODES_BETWEEN)


def per_piece(resolution: Resolution, pieces: int) -> Resolution:
    """With outer nodes for each of ``pieces`` between breaks: fewer where those are many."""
    least = _FEWEST_NODES[pieces > _MANY_PIECES]

    def share(nodes: int) -> int:
        return min(nodes, max(least, _PIECES * nodes // pieces))

    return resolution._replace(
        outer=share(resolution.outer), rotation_outer=share(resolution.rotation_outer)
    )


def resolution_of(distribution: Distribution) -> Resolution:
    return _EXTENDED if distribution.extended else Resolution()
