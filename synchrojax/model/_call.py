"""The trained networks as one differentiable call.

From ``params`` to eight arrays there are four forms: the mapping that users give; the same as named
arrays of one shape (``core.broadcast``); the family's point (``Situation``); the ``Dimensionless``
coefficients of the family; and ``Coefficients``.
"""

import functools
import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from synchrojax.core import (
    COMMON,
    Coefficients,
    LogCoefficients,
    Points,
    broadcast,
    fused,
    is_traced,
    one_mapping,
    over_with_tangents,
    own_settings,
    pointwise,
    power_of_two,
    with_tangents_times,
)
from synchrojax.families import AbstractFamily, Networks
from synchrojax.model._blocks import blockwise
from synchrojax.model._files import MODEL_FILE, packaged, read_model
from synchrojax.model._point import (
    Situation,
    Values,
    beyond_dtype,
    bits,
    in_cgs,
    in_logarithms,
    outside_of,
    situation,
    situation_of_spectra,
)
from synchrojax.model._spectra import spectrawise
from synchrojax.networks import each_member, members_of

POLICIES = ("clip", "extrapolate", "nan")


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("networks",),
    meta_fields=("family", "out_of_domain", "report_text"),
)
@dataclass(frozen=True, repr=False, eq=False)
class Model:
    """A trained model: a pytree whose leaves are the network weights.

    Make one with ``synchrojax.load``. ``coefficients`` and ``flags`` are pure and work under jit,
    vmap, grad, jacfwd and scan, with the model closed over or passed as an argument, a static one
    too: models are equal where weights, box and policies are. They can be pickled and copied.

    ``networks``: head -> module, a function of its features [inputs, ...].
    """

    networks: Networks
    family: AbstractFamily
    out_of_domain: str
    report_text: str

    def __repr__(self) -> str:
        size = sum(getattr(leaf, "size", 1) for leaf in jax.tree.leaves(self.networks))
        policy = f"out_of_domain={self.out_of_domain!r}"
        return f"Model({self.distribution}: {', '.join(self.inputs)}; {size} weights; {policy})"

    @functools.cached_property
    def is_traced(self) -> bool:
        """True where weights are traced, in a function that takes the model as an argument."""
        leaves = jax.tree.leaves(self.networks)
        return any(
            not isinstance(leaf, np.ndarray | jax.Array) or is_traced([leaf]) for leaf in leaves
        )

    @functools.cached_property
    def _identity(self) -> tuple[Any, ...]:
        digest = hashlib.sha256()
        leaves, tree = jax.tree.flatten(self.networks)
        for leaf in map(np.asarray, leaves):
            digest.update(
                f"{leaf.dtype.str}{leaf.shape}".encode() + np.ascontiguousarray(leaf).tobytes()
            )
        return digest.digest(), tree, self.family, self.out_of_domain, self.report_text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Model) or self is other:
            return self is other if isinstance(other, Model) else NotImplemented
        return not (self.is_traced or other.is_traced) and self._identity == other._identity

    def __hash__(self) -> int:
        if self.is_traced:
            raise TypeError(
                "a Model whose weights are being traced has no hash: close over the model, or "
                "pass it static"
            )
        return hash(self._identity)

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: getattr(self, name)
            for name in ("networks", "family", "out_of_domain", "report_text")
        }

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(
            'a Model is no function: call model.coefficients({"nu": ..., "B": ..., ...})'
        )

    @property
    def distribution(self) -> str:
        """The name of the distribution."""
        return self.family.name

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names that ``params`` may hold, in order.

        gamma_min and gamma_max have defaults; "tabulated" goes without n_e, too.
        """
        return (*COMMON, *self.family.parameters)

    @property
    def defaults(self) -> Mapping[str, float]:
        """Values of the inputs that may be left out."""
        return self.family.distribution.defaults

    @property
    def domain(self) -> dict[str, tuple[float, float]]:
        """name -> (low, high): the trained box; s = nu / nu_c."""
        return dict(self.family.domain)

    @property
    def report(self) -> Any:
        """The accuracy measured in training, and on which held-out rows."""
        return json.loads(self.report_text)

    def _pointwise(self, function: Callable, params: Any, named: Mapping[str, Any]) -> Any:
        one_mapping(params, named)
        if self.family.spectral:
            return spectrawise(function, self, params, inline=self.is_traced)
        values, dtype, shape = broadcast(params, self.inputs, self.defaults)
        return pointwise(function, self, values, dtype, shape, inline=self.is_traced)

    @own_settings
    def coefficients(self, params: Any = None, /, **named: Any) -> Coefficients:
        """The eight coefficients for ``params``, a mapping of array-likes that broadcast.

        nu [Hz] > 0, B [G] >= 0, n_e [cm^-3] >= 0, theta [rad], and the distribution's parameters
        ("tabulated": gamma [K] and N [..., K] = dN/dgamma, in cm^-3 where n_e is left out);
        numbers, or quantities with a unit (astropy), which are converted. Returns ``Coefficients``
        of the broadcast shape in the promoted float dtype (float32 at least), CGS fluid frame.
        Unphysical input gives NaN, B = 0 or n_e = 0 zeros; everything else is finite, in its
        derivatives too: what the dtype cannot hold ends at its limits, and the slope is zero where
        the slope would leave it. Missing or unknown names, units, masks and labels that do not fit
        and shapes that do not broadcast raise ValueError. Accuracy: see README and ``report``.
        """
        return self._pointwise(_coefficients, params, named)

    @own_settings
    def log_coefficients(self, params: Any = None, /, **named: Any) -> LogCoefficients:
        """The same coefficients as ``LogCoefficients``, whatever the range of the dtype.

        Takes what ``coefficients`` takes. Natural logarithms of j_I and alpha_I in CGS, j_Q / j_I
        and so on, signs and logarithms of rho_Q and rho_V: finite, with finite first and second
        derivatives, in float32 too, where j_I itself is 0 or its inverse square overflows. No field
        or no electrons: -inf with zero slope; unphysical input: NaN. For Fisher matrices, fits of
        ln j and cells whose coefficients float32 cannot hold; ``transfer.solve`` takes the result.
        """
        return self._pointwise(_log_coefficients, params, named)

    @own_settings
    def spread(self, params: Any = None, /, **named: Any) -> Coefficients:
        """Standard deviations of the eight over an ensemble: an estimate of the error.

        Takes what ``coefficients`` takes and returns the same shapes and units. Raises ValueError
        for a model with one member.
        """
        if members_of(self.networks) == 1:
            raise ValueError(
                "spread needs an ensemble: this model has one member (train with members >= 2)"
            )
        return self._pointwise(_spread, params, named)

    @own_settings
    def flags(self, params: Any = None, /, **named: Any) -> Int32[Array, "*points"]:
        """int32 per point: bit i = entry i of ``domain`` exceeded, highest bit = unphysical.

        The bit below the highest tells of a coefficient that the dtype of the result cannot hold,
        so that it is 0 or ends at the largest number (see ``log_coefficients``). The bit of theta
        tells of angles outside 0..pi, which may be meant in degrees; coefficients are those of the
        angle folded by symmetry. The rotativities hold for theta_e down to 1e-3 and any x even
        where those bits are set.
        """
        return self._pointwise(_flags, params, named)[0]

    @own_settings
    def output_flags(self, params: Any = None, /, **named: Any) -> Int32[Array, "*points"]:
        """int32 per point: bit i = result i of the configuration beyond what the table held.

        Such results follow their ``out_of_sample``. Raises ValueError for a model that was not made
        from a table.
        """
        if not self.family.results:
            raise ValueError(
                f"output_flags: {self.distribution!r} was not made from a table and holds no such "
                "ranges"
            )
        return self._pointwise(_output_flags, params, named)[0]


# What compiled programs are made of: functions of a model and of {input: array} of one shape
# ---------


def _in_blocks(function: Callable, model: Model, values: Values) -> Any:
    """``function(values)`` in blocks of points. Rows of ln(N) go to the points they belong to."""
    if not model.family.spectral:
        return blockwise(function, values, model.family.block)
    gamma, rows = values["gamma"], values["log_n"]
    points = {name: v for name, v in values.items() if name not in ("gamma", "log_n")}

    def at(points: Values) -> Any:
        own = dict(points)
        row = own.pop("row")
        if len(rows) == 1:  # one for all points is not copied
            log_n = rows.reshape(-1, *(1,) * row.ndim)
            log_n = jnp.broadcast_to(log_n, (rows.shape[1], *row.shape))
        else:
            log_n = jnp.moveaxis(rows[row], -1, 0)
        return function({**own, "gamma": gamma, "log_n": log_n})

    return blockwise(at, points, model.family.block)


def _coefficients(model: Model, values: Values) -> Coefficients:
    return _in_blocks(functools.partial(_coefficients_at, model), model, values)


def _log_coefficients(model: Model, values: Values) -> LogCoefficients:
    return _in_blocks(functools.partial(_log_coefficients_at, model), model, values)


def _spread(model: Model, values: Values) -> Coefficients:
    def one(networks: Networks) -> Coefficients:
        return _coefficients(replace(model, networks=networks), values)

    return jax.tree.map(
        lambda each: jnp.std(each, axis=0, ddof=1), each_member(one, model.networks)
    )


def _flags(model: Model, values: Values) -> tuple[Int32[Array, "*points"]]:
    def flags(values: Values) -> tuple[Int32[Array, "*points"]]:
        here, inputs = _situation(model, values)
        outside = outside_of(model.family, here)
        theta = values["theta"]
        slack = 4.0 * jnp.finfo(theta.dtype).eps * np.pi
        outside["theta"] |= ((theta < -slack) | (theta > np.pi + slack)) & ~here.unphysical
        found = _evaluated(model, here)
        logs = in_logarithms(model.family, model.out_of_domain, here, inputs, found)
        beyond = beyond_dtype(logs) & ~here.unphysical
        return (bits([*outside.values(), beyond, here.unphysical]),)

    return _in_blocks(flags, model, values)


def _output_flags(model: Model, values: Values) -> tuple[Int32[Array, "*points"]]:
    def flags(values: Values) -> tuple[Int32[Array, "*points"]]:
        here, _ = _situation(model, values)
        return (
            bits(
                [
                    mask & ~here.empty
                    for mask in model.family.results_outside(model.networks, here.point)
                ]
            ),
        )

    return _in_blocks(flags, model, values)


def _situation(model: Model, values: Values) -> tuple[Situation, Values]:
    """``Situation``, and the inputs with the n_e of the electrons."""
    if model.family.spectral:
        here, n_e = situation_of_spectra(model.family, values)
        return here, {**values, "n_e": n_e}
    return situation(model.family, values), values


def _evaluated(model: Model, here: Situation) -> Any:
    clip = model.out_of_domain != "extrapolate"
    return model.family.evaluate(model.networks, here.point, clip=clip)


def _coefficients_at(model: Model, values: Values) -> Coefficients:
    """``Coefficients`` of a block of points."""
    to_cgs = functools.partial(in_cgs, model.family, model.out_of_domain)
    if model.family.spectral:
        here, inputs = _situation(model, values)
        return to_cgs(here, inputs, values["B"], _evaluated(model, here))
    scale, scaled, here = _scaled_situation(model, values)
    c = fused(to_cgs, here, scaled, values["B"], _evaluated(model, here))
    return jax.tree.map(lambda value: with_tangents_times(value, 1.0 / scale), c)


def _log_coefficients_at(model: Model, values: Values) -> LogCoefficients:
    """``LogCoefficients`` of a block of points."""
    to_logs = functools.partial(in_logarithms, model.family, model.out_of_domain)
    if model.family.spectral:
        here, inputs = _situation(model, values)
        return to_logs(here, inputs, _evaluated(model, here))
    scale, scaled, here = _scaled_situation(model, values)
    c = fused(to_logs, here, scaled, _evaluated(model, here))
    return jax.tree.map(lambda value: with_tangents_times(value, 1.0 / scale), c)


def _scaled_situation(
    model: Model, values: Values
) -> tuple[Float[Array, "*points"], dict[str, Any], Situation]:
    """(a scale of the tangents, the inputs beside B with tangents times that, ``Situation``)."""
    b = values["B"]
    scale = _tangent_scale(b)
    scaled: dict[str, Any] = {
        name: with_tangents_times(v, scale) for name, v in values.items() if name != "B"
    }
    inputs = scaled | {"B": over_with_tangents(b, scale)}
    return scale, scaled, fused(functools.partial(situation, model.family), inputs, scale)


def _tangent_scale(b: Points) -> Float[Array, "*points"]:
    """A power of two near a small B.

    d/dB of what depends on nu / B may leave the range of the numbers.
    """
    least = jnp.clip(jax.lax.stop_gradient(b), float(jnp.finfo(b.dtype).tiny) ** 0.5, 1.0)
    return power_of_two(jnp.where(b > 0.0, least, 1.0))


# Models by name and by path -----------------------------------------------------------------------


def models() -> tuple[str, ...]:
    """Names of the packaged models."""
    return tuple(sorted(p.stem for p in packaged("any").parent.glob("*.safetensors")))


def load(name: Any, *, out_of_domain: Any = None) -> Model:
    """A packaged model by name (see ``models()``), or one trained by you.

    Yours is named by the path of its file or of its directory. ``out_of_domain``: ``"clip"``
    (default) holds the learned corrections at the edge of the box, but lets them run on below it at
    low frequency: there j_I and alpha_I stay within a factor of 3 of the exact harmonics, with rare
    exceptions (see README), down to s sin(theta) = 1. Of thermal electrons the exponential of the
    emission and the limits of the rotativities use the true frequency, angle and temperature, of
    power laws and kappa all but the sign of V and sin(theta)^2 in rho_Q is that of the nearest
    point of the box. ``"extrapolate"`` lets all corrections run on. ``"nan"`` returns NaN outside;
    rotativities of thermal electrons stay valid down to theta_e = 1e-3 and for any x. A model
    trained on a table has a policy for each input in its configuration, which holds unless one is
    given here. Raises ValueError for unknown names, policies and bad files.
    """
    if out_of_domain not in (None, *POLICIES):
        raise ValueError(
            f"out_of_domain must be one of {', '.join(POLICIES)}, got {out_of_domain!r}"
        )
    family, networks, report = read_model(_path_of(str(name)))
    if out_of_domain is not None:
        family = family.with_policy(out_of_domain)
    return Model(networks, family, out_of_domain or family.default_policy, json.dumps(report))


def _path_of(name: str) -> pathlib.Path:
    """The file of a model. Raises ValueError."""
    path = pathlib.Path(name)
    if name in models():
        path = packaged(name)
    elif (path / MODEL_FILE).is_file():
        path = path / MODEL_FILE
    elif not path.suffix and pathlib.Path(f"{name}.safetensors").is_file():
        path = pathlib.Path(f"{name}.safetensors")
    elif name and path.is_dir():
        raise ValueError(
            f"{name}: no {MODEL_FILE} in it; `synchrojax train TABLE {name}` writes one"
        )
    elif path.suffix != ".safetensors":
        known = ", ".join(models()) or "none"
        raise ValueError(
            f"unknown model {name!r}; packaged: {known}; or give a .safetensors file or its "
            "directory"
        )
    return path
