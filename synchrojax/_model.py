"""The packaged networks as one differentiable call."""

import functools
import json
import pathlib
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from synchrojax._coefficients import Coefficients
from synchrojax._constants import GYRO
from synchrojax._families import distribution_of
from synchrojax._network import forward, members_of
from synchrojax._params import COMMON, broadcast, unphysical
from synchrojax._weights import MODEL_FILE, packaged, read_model

POLICIES = ("clip", "extrapolate", "nan")
_LANES = 64  # a block is a multiple of this: vector units idle at odd lengths
_SHIFT = 40.0  # keeps exp(ln j_hat) inside float32 until n_e is multiplied in


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("weights",),
    meta_fields=("family", "out_of_domain", "report_text"),
)
@dataclass(frozen=True, repr=False)
class Model:
    """A trained model: a pytree whose leaves are the network weights.

    Make one with ``synchrojax.load``. ``coefficients`` and ``flags`` are pure and work under jit, vmap,
    grad, jacfwd and scan, with the model closed over or passed as an argument.
    """

    weights: Any
    family: Any  # see ``_families``
    out_of_domain: str
    report_text: str

    def __repr__(self):
        size = sum(getattr(leaf, "size", 1) for leaf in jax.tree.leaves(self.weights))
        policy = f"out_of_domain={self.out_of_domain!r}"
        return f"Model({self.distribution}: {', '.join(self.inputs)}; {size} weights; {policy})"

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

    def coefficients(self, params):
        """The eight coefficients for ``params``, a mapping of array-likes that broadcast.

        nu [Hz] > 0, B [G] >= 0, n_e [cm^-3] >= 0, theta [rad], and the distribution's parameters. Returns
        ``Coefficients`` of the broadcast shape in the promoted float dtype, CGS fluid frame. Unphysical input
        gives NaN, B = 0 or n_e = 0 zeros. Missing or unknown names and shapes that do not broadcast raise
        ValueError. Accuracy: see README and ``report``.
        """
        values = broadcast(params, self.inputs, self.defaults)
        return Coefficients(*blockwise(functools.partial(_coefficients, self), values, self.family.BLOCK))

    def spread(self, params):
        """Standard deviations of the eight over the members of an ensemble: an estimate of the error.

        Takes what ``coefficients`` takes and returns the same shapes and units. Raises ValueError for a model with one
        member.
        """
        if members_of(self.weights) == 1:
            raise ValueError("spread needs an ensemble: this model has one member (train with members >= 2)")
        each = jax.vmap(lambda weights: replace(self, weights=weights).coefficients(params))(self.weights)
        return Coefficients(*(jnp.std(v, axis=0, ddof=1) for v in each))

    def flags(self, params):
        """int32 per point: bit i = entry i of ``domain`` exceeded, highest used bit = unphysical input.

        theta is folded into 0..pi first, by symmetry. The rotativities hold for theta_e down to 1e-3 and any x
        even where those bits are set.
        """
        bad, outside = _status(self, *broadcast(params, self.inputs, self.defaults))
        return _bits([*outside, bad])

    def output_flags(self, params):
        """int32 per point: bit i = result i of the configuration beyond what the table held.

        Such results follow their ``out_of_sample``. Raises ValueError for a model that was not made from a table.
        """
        if not hasattr(self.family, "beyond"):
            raise ValueError(f"output_flags: {self.distribution!r} was not made from a table and holds no such ranges")

        def flags(nu, b, n_e, theta, *own):
            _, empty, point = _safe_point(self, nu, b, n_e, theta, own)
            return (_bits([mask & ~empty for mask in self.family.beyond(self.networks, point)]),)

        return blockwise(flags, broadcast(params, self.inputs, self.defaults), self.family.BLOCK)[0]


def _bits(masks):
    """int32: bit i is set where ``masks[i]`` holds."""
    return sum(jnp.where(mask, 1 << i, 0) for i, mask in enumerate(masks)).astype(jnp.int32)


def _safe_point(model, nu, b, n_e, theta, own):
    """The dimensionless point, with a harmless one where there is nothing to compute."""
    family = model.family
    parameters = dict(zip(family.PARAMETERS, own, strict=True))
    distribution = distribution_of(family)
    parameters = distribution.canonical(**parameters)
    own = list(parameters.values())
    bad = unphysical(nu, b, n_e, theta, own, distribution.violated(**parameters))
    empty = bad | (b == 0.0) | (n_e == 0.0)
    s = jnp.where(empty, 1e3, nu / (GYRO * jnp.where(empty, 1.0, b)))
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
    bad, empty, point = _safe_point(model, nu, b, n_e, theta, own)
    family = model.family
    log_j, j_q, j_v, log_alpha, alpha_q, alpha_v, rho_q, rho_v = family.evaluate(
        model.networks, point, clip=model.out_of_domain != "extrapolate"
    )

    def stop_empty(value):
        return jnp.where(empty, jnp.where(bad, jnp.nan, 0.0), value)

    log_nu = jnp.log(jnp.where(empty, 1.0, nu))
    n = n_e * float(np.exp(-_SHIFT))
    j, alpha = n * jnp.exp(log_j + log_nu + _SHIFT), n * jnp.exp(log_alpha - log_nu + _SHIFT)
    per_nu = n_e / jnp.where(empty, 1.0, nu)
    values = [j, j * j_q, j * j_v, alpha, alpha * alpha_q, alpha * alpha_v, per_nu * rho_q, per_nu * rho_v]
    values = [stop_empty(x) for x in values]
    if model.out_of_domain == "nan":
        emission, rotation = family.invalid(_status(model, nu, b, n_e, theta, *own)[1], point)
        values = [jnp.where(emission if k < 6 else rotation, jnp.nan, x) for k, x in enumerate(values)]
    return tuple(values)


def blockwise(function, values, block):
    """Apply a pointwise function; on CPU in blocks of so many points, which fit the cache, where the size is large.

    Block k takes every K-th point, so that an array sharded over devices stays sharded in each block.
    """
    shape, size = values[0].shape, values[0].size
    count = -(-size // block)
    if count < 2 or jax.default_backend() != "cpu":
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
