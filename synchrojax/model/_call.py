"""The packaged networks as one differentiable call."""

import functools
import hashlib
import json
import math
import pathlib
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from synchrojax.core import (
    COMMON,
    GYRO,
    Coefficients,
    broadcast,
    is_traced,
    one_mapping,
    own_settings,
    pointwise,
    unphysical,
)
from synchrojax.families import distribution_of
from synchrojax.model._files import MODEL_FILE, packaged, read_model
from synchrojax.networks import forward, members_of

POLICIES = ("clip", "extrapolate", "nan")
_LANES = 64  # a block is a multiple of this: vector units idle at odd lengths


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("weights",),
    meta_fields=("family", "out_of_domain", "report_text"),
)
@dataclass(frozen=True, repr=False, eq=False)
class Model:
    """A trained model: a pytree whose leaves are the network weights.

    Make one with ``synchrojax.load``. ``coefficients`` and ``flags`` are pure and work under jit, vmap,
    grad, jacfwd and scan, with the model closed over or passed as an argument, a static one too: models are equal
    where weights, box and policies are. They can be pickled and copied.
    """

    weights: Any
    family: Any  # see ``AbstractFamily``
    out_of_domain: str
    report_text: str

    def __repr__(self):
        size = sum(getattr(leaf, "size", 1) for leaf in jax.tree.leaves(self.weights))
        policy = f"out_of_domain={self.out_of_domain!r}"
        return f"Model({self.distribution}: {', '.join(self.inputs)}; {size} weights; {policy})"

    @functools.cached_property
    def is_traced(self):
        """True where weights are being traced, in a function that takes the model as an argument."""
        return any(
            not isinstance(leaf, np.ndarray | jax.Array) or is_traced([leaf]) for leaf in jax.tree.leaves(self.weights)
        )

    @functools.cached_property
    def _identity(self):
        digest = hashlib.sha256()
        leaves, tree = jax.tree.flatten(self.weights)
        for leaf in map(np.asarray, leaves):
            digest.update(f"{leaf.dtype.str}{leaf.shape}".encode() + np.ascontiguousarray(leaf).tobytes())
        return digest.digest(), str(tree), self.family, self.out_of_domain, self.report_text

    def __eq__(self, other):
        if not isinstance(other, Model) or self is other:
            return self is other if isinstance(other, Model) else NotImplemented
        return not (self.is_traced or other.is_traced) and self._identity == other._identity

    def __hash__(self):
        if self.is_traced:
            raise TypeError(
                "a Model whose weights are being traced has no hash: close over the model, or pass it static"
            )
        return hash(self._identity)

    def __getstate__(self):
        return {name: getattr(self, name) for name in ("weights", "family", "out_of_domain", "report_text")}

    def __call__(self, *_, **__):
        raise TypeError('a Model is no function: call model.coefficients({"nu": ..., "B": ..., ...})')

    @property
    def networks(self):
        """head -> function of its features [inputs, ...]."""
        shapes = getattr(self.family, "ACTIVATIONS", {})
        return {head: functools.partial(forward, w, **shapes.get(head, {})) for head, w in self.weights.items()}

    @property
    def distribution(self):
        """The name of the distribution."""
        return self.family.NAME

    @property
    def inputs(self):
        """Names that ``params`` may hold, in order; gamma_min and gamma_max have defaults."""
        return (*COMMON, *self.family.PARAMETERS)

    @property
    def defaults(self):
        """Values of the inputs that may be left out."""
        return distribution_of(self.family).defaults

    @property
    def domain(self):
        """name -> (low, high): the trained box; s = nu / nu_c."""
        return dict(self.family.DOMAIN)

    @property
    def report(self):
        """The accuracy measured in training, and on which held-out rows."""
        return json.loads(self.report_text)

    def _pointwise(self, function, params, named):
        one_mapping(params, named)
        values, dtype, shape = broadcast(params, self.inputs, self.defaults)
        return pointwise(function, self, values, dtype, shape)

    @own_settings
    def coefficients(self, params=None, /, **named):
        """The eight coefficients for ``params``, a mapping of array-likes that broadcast.

        nu [Hz] > 0, B [G] >= 0, n_e [cm^-3] >= 0, theta [rad], and the distribution's parameters; numbers, or
        quantities with a unit (astropy), which are converted. Returns ``Coefficients`` of the broadcast shape in the
        promoted float dtype (float32 at least), CGS fluid frame. Unphysical input gives NaN, B = 0 or n_e = 0 zeros;
        everything else is finite, in its derivatives too: what the dtype cannot hold ends at its limits, and the slope
        is zero where the slope would leave it. Missing or unknown names, units, masks and labels that do not fit and
        shapes that do not broadcast raise ValueError. Accuracy: see README and ``report``.
        """
        return Coefficients(*self._pointwise(_coefficients_of, params, named))

    @own_settings
    def spread(self, params=None, /, **named):
        """Standard deviations of the eight over the members of an ensemble: an estimate of the error.

        Takes what ``coefficients`` takes and returns the same shapes and units. Raises ValueError for a model with one
        member.
        """
        if members_of(self.weights) == 1:
            raise ValueError("spread needs an ensemble: this model has one member (train with members >= 2)")
        return Coefficients(*self._pointwise(_spread_of, params, named))

    @own_settings
    def flags(self, params=None, /, **named):
        """int32 per point: bit i = entry i of ``domain`` exceeded, highest used bit = unphysical input.

        The bit of theta tells of angles outside 0..pi, which may be meant in degrees; coefficients are those of the
        angle folded by symmetry. The rotativities hold for theta_e down to 1e-3 and any x even where those bits are
        set.
        """
        return self._pointwise(_flags_of, params, named)[0]

    @own_settings
    def output_flags(self, params=None, /, **named):
        """int32 per point: bit i = result i of the configuration beyond what the table held.

        Such results follow their ``out_of_sample``. Raises ValueError for a model that was not made from a table.
        """
        if not hasattr(self.family, "beyond"):
            raise ValueError(f"output_flags: {self.distribution!r} was not made from a table and holds no such ranges")
        return self._pointwise(_output_flags_of, params, named)[0]


# What compiled programs are made of: functions of a model and of columns, one point each -----------


def _coefficients_of(model, *columns):
    return blockwise(functools.partial(_coefficients, model), columns, model.family.BLOCK)


def _spread_of(model, *columns):
    each = jax.vmap(lambda weights: jnp.stack(_coefficients_of(replace(model, weights=weights), *columns)))
    return tuple(jnp.std(each(model.weights), axis=0, ddof=1))


def _flags_of(model, *columns):
    def flags(nu, b, n_e, theta, *own):
        bad, outside = _status(model, nu, b, n_e, theta, *own)
        named = dict(zip(model.family.DOMAIN, outside, strict=True))
        slack = 4.0 * jnp.finfo(theta.dtype).eps * np.pi
        named["theta"] |= ((theta < -slack) | (theta > np.pi + slack)) & ~bad
        return (_bits([*named.values(), bad]),)

    return blockwise(flags, columns, model.family.BLOCK)


def _output_flags_of(model, *columns):
    def flags(nu, b, n_e, theta, *own):
        _, empty, point = _safe_point(model, nu, b, n_e, theta, own)
        return (_bits([mask & ~empty for mask in model.family.beyond(model.networks, point)]),)

    return blockwise(flags, columns, model.family.BLOCK)


def _bits(masks):
    """int32: bit i is set where ``masks[i]`` holds."""
    return sum(jnp.where(mask, 1 << i, 0) for i, mask in enumerate(masks)).astype(jnp.int32)


def _safe_point(model, nu, b, n_e, theta, own, scale=1.0):
    """The dimensionless point, with a harmless one where there is nothing to compute; ``b``: B / ``scale``."""
    family = model.family
    parameters = dict(zip(family.PARAMETERS, own, strict=True))
    distribution = distribution_of(family)
    parameters = distribution.canonical(**parameters)
    own = list(parameters.values())
    bad = unphysical(nu, b, n_e, theta, own, distribution.violated(**parameters))
    empty = bad | (b == 0.0) | (n_e == 0.0)
    s = ratio(jnp.where(empty, 1e3, nu / (GYRO * scale)), jnp.where(empty, 1.0, b))
    ends = [family.DOMAIN[n] for n in family.PARAMETERS]
    middle = [float(np.sqrt(low * high) if low > 0.0 else 0.5 * (low + high)) for low, high in ends]
    point = family.point(
        s, jnp.where(empty, 1.0, theta), *(jnp.where(empty, m, v) for m, v in zip(middle, own, strict=True))
    )
    return bad, empty, point


def _status(model, nu, b, n_e, theta, *own):
    """(unphysical, [outside per domain entry]); nothing is outside where B = 0, n_e = 0 or unphysical."""
    bad, empty, point = _safe_point(model, nu, b, n_e, theta, own)
    family = model.family
    slack = 4.0 * jnp.finfo(nu.dtype).eps  # the edge itself is inside, whatever the rounding
    outside = [
        ((v < lo - slack * abs(lo)) | (v > hi + slack * abs(hi))) & ~empty
        for v, (lo, hi) in zip(family.coordinates(point), family.DOMAIN.values(), strict=True)
    ]
    return bad, outside


def _coefficients(model, nu, b, n_e, theta, *own):
    scale = _tangent_scale(b)
    nu, n_e, theta, *own = (_scaled(v, scale) for v in (nu, n_e, theta, *own))
    bad, empty, point = _safe_point(model, nu, _over(b, scale), n_e, theta, own, scale)
    family = model.family
    log_j, j_q, j_v, log_alpha, alpha_q, alpha_v, rho_q, rho_v = family.evaluate(
        model.networks, point, clip=model.out_of_domain != "extrapolate"
    )
    safe_nu, safe_n = (jnp.where(empty, 1.0, v) for v in (nu, n_e))
    log_nu, log_n = jnp.log(safe_nu), jnp.log(safe_n)
    j, alpha = (_bounded_exp(v) for v in ((log_j + log_nu) + log_n, (log_alpha - log_nu) + log_n))
    per_nu = ratio(safe_n, safe_nu)
    rho_q, rho_v = (_bounded_product(per_nu, v) for v in (rho_q, rho_v))
    polarized = [_bounded_product(x, share) for x, share in ((j, j_q), (j, j_v), (alpha, alpha_q), (alpha, alpha_v))]
    values = [j, *polarized[:2], alpha, *polarized[2:], rho_q, rho_v]
    smallest = functools.reduce(jnp.minimum, (jnp.abs(v) for v in (safe_nu, jnp.where(empty, 1.0, b), safe_n, *own)))
    sizes = [j] * 3 + [alpha] * 3 + [per_nu] * 2
    values = [_with_slopes_that_fit(x, size, smallest) for x, size in zip(values, sizes, strict=True)]
    values = [jnp.where(empty, jnp.where(bad, jnp.nan, 0.0), x) for x in values]
    if model.out_of_domain == "nan":
        emission, rotation = family.invalid(_status(model, nu, b, n_e, theta, *own)[1], point)
        values = [jnp.where(emission if k < 6 else rotation, jnp.nan, x) for k, x in enumerate(values)]
    return tuple(_scaled(x, 1.0 / scale) for x in values)


# Numbers at the limits of their dtype ----------------------------------------------------------


@jax.custom_jvp
def _scaled(x, scale):
    """x, whose tangents, and so its cotangents, are ``scale`` times as large on the other side."""
    return x


@_scaled.defjvp
def _scaled_slope(primals, tangents):
    # not ``_scaled`` again: derivatives of derivatives are in plain units, since reverse mode forgets the rule
    return primals[0], primals[1] * tangents[0]


@jax.custom_jvp
def _over(x, scale):
    """x / scale, with tangents as ``_scaled`` has them: those of x."""
    return x / scale


@_over.defjvp
def _over_slope(primals, tangents):
    return primals[0] / primals[1], tangents[0]


def _tangent_scale(b):
    """A power of two near a small B, since d/dB of what depends on nu / B may leave the range of the numbers."""
    limits = jnp.finfo(b.dtype)
    least = jnp.clip(jax.lax.stop_gradient(b), float(limits.tiny) ** 0.5, 1.0)
    return jax.lax.reduce_precision(jnp.where(b > 0.0, least, 1.0), limits.nexp, 0)


def _largest(x, share=0.99):
    """The largest number of the dtype to the power ``share``."""
    return float(jnp.finfo(x.dtype).max) ** share


def _bounded_exp(x):
    """exp(x), at most the largest number; as a square, so that a slope of it overflows only if exp(x / 2) does."""
    root = jnp.exp(jnp.minimum(0.5 * x, 0.5 * float(np.log(_largest(x)))))
    return root * root


def _bounded_product(x, y):
    """x y for x > 0, at most the largest number in magnitude."""
    most = jax.lax.stop_gradient(_largest(x) / jnp.maximum(x, 1.0))
    return x * jnp.clip(y, -most, most)


def _with_slopes_that_fit(value, size, smallest):
    """``value`` without its slope where that, of order size / input, or a step to it, would leave the dtype's range."""
    limit, least = _largest(value, 0.5) * jnp.minimum(smallest, 1.0), 10.0 * float(jnp.finfo(value.dtype).tiny)
    fits = (size > least) & (size < limit) & (smallest > 1.0 / _largest(value, 0.85))
    return jnp.where(fits, value, jax.lax.stop_gradient(value))


@jax.custom_jvp
def ratio(x, y):
    """x / y of positive numbers, at most the largest one; its derivatives never square y."""
    return jnp.minimum(x / y, _largest(x))


@ratio.defjvp
def _ratio_slope(primals, tangents):
    (x, y), value = primals, ratio(*primals)
    most = _largest(x, 0.8)

    def slope(by):
        found = value / by
        return jnp.where(found < most, found, 0.0)

    return value, slope(x) * tangents[0] - slope(y) * tangents[1]


def blockwise(function, values, block):
    """Apply a pointwise function; on CPU in blocks of so many points, which fit the cache, where the size is large.

    Block k takes every K-th point, so that an array sharded over devices stays sharded in each block.
    """
    shape = values[0].shape
    if not all(isinstance(n, int) for n in shape) or jax.default_backend() != "cpu":  # symbols in an export
        return function(*values)
    size = math.prod(shape)
    count = -(-size // block)
    if count < 2:
        return function(*values)
    rows = -(-size // count)
    rows += -rows % _LANES
    fill = rows * count - size

    def cut(value):
        return jnp.pad(value.reshape(-1), (0, fill), mode="edge").reshape(rows, count).T

    # reverse mode goes through each block again instead of keeping what every step of all of them left
    again = jax.checkpoint(lambda block: function(*block), prevent_cse=False)
    out = jax.lax.map(again, tuple(cut(v) for v in values))
    return tuple(o.T.reshape(-1)[:size].reshape(shape) for o in out)


def models():
    """Names of the packaged models."""
    return tuple(sorted(p.stem for p in packaged("any").parent.glob("*.safetensors")))


def load(name, *, out_of_domain=None):
    """A packaged model by name (see ``models()``) or the path of one trained by you, a file or its directory.

    ``out_of_domain``: ``"clip"`` (default) holds the learned corrections at the edge of the box, ``"extrapolate"``
    lets them run on, ``"nan"`` returns NaN outside. A model trained on a table has a policy for each input in its
    configuration, which holds unless one is given here. Raises ValueError for unknown names, policies and bad files.
    """
    if out_of_domain not in (None, *POLICIES):
        raise ValueError(f"out_of_domain must be one of {', '.join(POLICIES)}, got {out_of_domain!r}")
    model = _read(str(name))
    if not hasattr(model.family, "with_policy"):
        return replace(model, out_of_domain=out_of_domain or "clip")
    if out_of_domain is None:
        return replace(model, out_of_domain="configured")
    return replace(model, out_of_domain=out_of_domain, family=model.family.with_policy(out_of_domain))


def _read(name):
    path = pathlib.Path(name)
    if name in models():
        path = packaged(name)
    elif (path / MODEL_FILE).is_file():
        path = path / MODEL_FILE
    elif not path.suffix and pathlib.Path(f"{name}.safetensors").is_file():
        path = pathlib.Path(f"{name}.safetensors")
    elif path.is_dir():
        raise ValueError(f"{name}: no {MODEL_FILE} in it; `synchrojax train TABLE {name}` writes one")
    elif path.suffix != ".safetensors":
        known = ", ".join(models()) or "none"
        raise ValueError(f"unknown model {name!r}; packaged: {known}; or give a .safetensors file or its directory")
    family, weights, report = read_model(path)
    return Model(weights, family, "clip", json.dumps(report))
