"""A network for a distribution of your own: ``synchrojax.Family``.

Nothing is known of its f, so that every coefficient is learned in its logarithm, or, if it changes sign in the table,
through asinh. (j_Q, j_V) / j_I is a point of the unit disk, V has a factor cos(theta), and the rotativities are
measured in those of cold plasma.
"""

import collections
import json

import jax.numpy as jnp
import numpy as np

from synchrojax.core import from_plane, number, sine_cosine, to_plane
from synchrojax.distributions import HIGHEST_GAMMA, Absent, Distribution, Function
from synchrojax.families import _scale_free
from synchrojax.tables.network_space import cold

_HEADS = {
    "emission": (0, 3),
    "absorption": (3, 6),
    "rho_Q": (6, 7),
    "rho_V": (7, 8),
}  # of the eight coefficients, from .. before
_FAINT = 0.1  # quantile of the magnitudes below which a coefficient of either sign counts as near zero


def _ends(name, given):
    """(low, high) of a range in a box. Raises ValueError."""
    ends = tuple(number(v, f"box of {name}") for v in (given if np.iterable(given) else [given]))
    if len(ends) != 2 or not np.all(np.isfinite(ends)) or not ends[0] < ends[1]:
        raise ValueError(f"box of {name}: expected (low, high) with low < high, got {ends}")
    return ends


class Family(_scale_free.Family):
    """A distribution of your own and the box in which a network shall stand for it.

    ``name``: what models call it. ``f``: a function f(gamma, mu, **parameters) in JAX, even in mu and normalised to one
    electron, or a ``Distribution``. ``box``: parameter -> (low, high), for all parameters of f; a range that starts
    above zero is learned and sampled in the logarithm. ``s``: range of s = nu / nu_c; s sin(theta) is from 5 up.
    ``gamma_min``, ``gamma_max``: where f ends; ``breaks``: where it has kinks or jumps in between, as for
    ``distributions.Function`` (numbers and names of parameters travel to other processes, a lambda does not).
    s / sin(theta) is up to ``highest_x``, by default 3 gamma_max^2: emission falls exponentially beyond.
    Give it to ``generate``, ``train`` and ``validate`` in place of a name.
    Raises ValueError for a box that does not fit f, for an f that is not even and for breaks beside a ``Distribution``.
    """

    WIDTHS = (32, 32)
    BLOCK = 16384

    def __init__(
        self,
        name,
        f,
        box,
        *,
        s=_scale_free.S_RANGE,
        gamma_min=1.0,
        gamma_max=HIGHEST_GAMMA,
        breaks=(),
        highest_x=None,
    ):
        known = isinstance(f, Distribution)
        if known and not (isinstance(breaks, tuple) and not breaks):
            raise ValueError("breaks belong to a function f(gamma, mu): a Distribution has its own")
        self.distribution = f if known else Function(f, gamma_min=gamma_min, gamma_max=gamma_max, breaks=breaks)
        self._set(name, box, s, highest_x or 3.0 * gamma_max**2)
        if set(box) != set(self.distribution.parameters):
            raise ValueError(
                f"box is for {', '.join(box)}; f takes {', '.join(self.distribution.parameters) or 'none'}"
            )
        if not known:  # a network knows theta up to pi/2
            for end in range(2):
                self.distribution.require_even(**{k: ends[end] for k, ends in box.items()})
        self.maps: tuple = ()

    def _set(self, name, box, s, highest_x):
        box, s = {k: _ends(k, ends) for k, ends in box.items()}, _ends("s", s)
        super().__init__(str(name), box, s=s)
        self.DOMAIN["s_over_sin_theta"] = (self.DOMAIN["s"][0], min(float(highest_x), s[1] ** 2 / _scale_free.S_PERP))
        self.LINEAR = tuple(k for k, (low, _) in box.items() if low <= 0.0)
        inputs = 4 + len(box)
        self.HEADS = {head: (inputs, stop - start) for head, (start, stop) in _HEADS.items()}
        self._point = collections.namedtuple("Point", ("s", "sine", "cosine", *box))

    @property
    def _highest_x(self):
        return self.DOMAIN["s_over_sin_theta"][1]

    def coordinates(self, p):
        return *super().coordinates(p), p.s / jnp.maximum(p.sine, 1e-30)

    def clamp(self, p):
        p = super().clamp(p)
        p = p._replace(sine=jnp.maximum(p.sine, np.sqrt(_scale_free.S_PERP / self._highest_x)))
        return p._replace(s=jnp.minimum(p.s, self._highest_x * p.sine))

    # What is learned, on file -----------------------------------------------------------------

    def describe(self):
        """All of it but f, as text."""
        box = {k: self.DOMAIN[k] for k in self.PARAMETERS}
        rest = {"s": self.DOMAIN["s"], "highest_x": self._highest_x, "maps": self.maps}
        return json.dumps({"name": self.NAME, "box": box, **rest})

    @classmethod
    def read(cls, text):
        """Inverse of ``describe``, without f."""
        family, given = cls.__new__(cls), json.loads(text)
        family._set(given["name"], given["box"], given["s"], given["highest_x"])
        family.maps = tuple(tuple(m) for m in given["maps"])
        family.distribution = Absent(family.NAME, family.PARAMETERS)
        return family

    def replaced(self, **changes):
        """A copy with other ``maps`` or another ``distribution``."""
        other = object.__new__(type(self))  # a copy goes by way of here
        other.__dict__.update(self.__dict__ | changes)
        return other

    def __eq__(self, other):
        if not isinstance(other, Family) or self.describe() != other.describe():
            return False
        return self.distribution == other.distribution

    def __hash__(self):
        return hash((self.NAME, self.maps))

    def __reduce__(self):
        return _rebuilt, (self.describe(), self.distribution)

    def locked(self, table):
        """The same family with the maps that suit a table: (sign or 0, scale, mean, deviation) of each coefficient."""
        row = {k: np.asarray(v) for k, v in table.items()}
        for k in ("j_I", "alpha_I"):
            if np.any(row[k] <= 0.0):
                count = np.count_nonzero(row[k] <= 0.0)
                raise ValueError(f"{k} is not positive in {count} of {len(row[k])} rows: there is no network for that")
        maps = []
        for value in self._plain(self._point_of(row), row):
            value = value[np.isfinite(value)]
            sign = 1.0 if np.all(value > 0.0) else -1.0 if np.all(value < 0.0) else 0.0
            scale = 1.0 if sign else float(np.quantile(np.abs(value), _FAINT))
            y = np.log(sign * value) if sign else np.arcsinh(value / scale)
            maps.append((sign, scale, float(np.mean(y)), float(np.std(y)) or 1.0))
        return self.replaced(maps=tuple(maps))

    # Between physical and network space -------------------------------------------------------

    def point(self, s, theta, *own):
        return self._point(s, *sine_cosine(theta), *own)

    def _point_of(self, row):
        return self.point(*(row[k] for k in ("s", "theta", *self.PARAMETERS)))

    def _plain(self, p, row):
        """The eight as they are mapped."""
        unit_q, unit_v = cold(p.s, p.sine, p.cosine)
        disk = to_plane(row["j_Q"] / row["j_I"], row["j_V"] / row["j_I"])
        with np.errstate(divide="ignore", invalid="ignore"):
            values = (
                row["j_I"],
                disk[0],
                disk[1] / p.cosine,
                row["alpha_I"],
                row["alpha_Q"] / row["alpha_I"],
                row["alpha_V"] / row["alpha_I"] / p.cosine,
                row["rho_Q"] / unit_q,
                row["rho_V"] / unit_v,
            )
        return [np.asarray(v) for v in values]

    def _features(self, p):
        (low, high), perp, highest_x = self.DOMAIN["s"], _scale_free.S_PERP, self._highest_x

        def scaled(value, a, b):
            return (2.0 * value - (a + b)) / (b - a)

        rows = [
            scaled(jnp.log(p.s * p.sine), np.log(perp), np.log(high)),
            scaled(jnp.log(p.s) - jnp.log(p.sine), np.log(low), np.log(highest_x)),
            *_scale_free.features(p.s, p.sine),
        ]
        for name in self.PARAMETERS:
            value, (a, b) = getattr(p, name), self.DOMAIN[name]
            rows.append(scaled(value, a, b) if name in self.LINEAR else scaled(jnp.log(value), np.log(a), np.log(b)))
        return jnp.stack(rows)

    def training_rows(self, head, table, networks):
        """Row numbers, features, nothing, targets and the weights that make errors relative."""
        row = {k: np.asarray(v) for k, v in table.items()}
        keep = np.flatnonzero(_scale_free.oblique(row["theta"]))
        row = {k: v[keep] for k, v in row.items()}
        p = self._point_of(row)
        start, stop = _HEADS[head]
        targets, weights = [], []
        for value, (sign, scale, mean, deviation) in zip(
            self._plain(p, row)[start:stop], self.maps[start:stop], strict=True
        ):
            size = np.abs(value)
            targets.append(((np.log(size) if sign else np.arcsinh(value / scale)) - mean) / deviation)
            weights.append(deviation * (1.0 if sign else np.hypot(value, scale) / np.maximum(size, scale)) + 0.0 * size)
        return keep, self._features(p).T, np.zeros((len(keep), 1)), np.stack(targets, -1), np.stack(weights, -1)

    def evaluate(self, networks, p, *, clip):
        """ln j_I, j_Q / j_I, j_V / j_I, the same of alpha, rho_Q, rho_V at nu = 1 Hz, n_e = 1 cm^-3."""
        p = self.clamp(p) if clip else self.within_reach(p)
        features = self._features(p)
        outputs = jnp.concatenate([networks[head](features) for head in _HEADS])
        y = [o * deviation + mean for o, (_, _, mean, deviation) in zip(outputs, self.maps, strict=True)]
        value = [
            sign * jnp.exp(v) if sign else scale * jnp.sinh(v)
            for v, (sign, scale, _, _) in zip(y, self.maps, strict=True)
        ]
        unit_q, unit_v = cold(p.s, p.sine, p.cosine)
        q, v = from_plane(value[1], value[2] * p.cosine)
        return y[0], q, v, y[3], value[4], value[5] * p.cosine, unit_q * value[6], unit_v * value[7]

    def rotation_floor(self, p):
        """The magnitude of rho_Q below which its errors are not relative any more: near its zero."""
        sign, scale, _, _ = self.maps[6]
        return jnp.abs(cold(p.s, p.sine, p.cosine)[0]) * (0.0 if sign else scale)

    def sample(self, u, margin):
        """Unit numbers [n, DIMENSIONS] to the box, widened by ``margin``; theta <= pi/2."""
        rows = self.sample_direction(u, margin, highest_x=self._highest_x)
        for k, name in enumerate(self.PARAMETERS):
            low, high = self.DOMAIN[name]
            if name in self.LINEAR:
                widen = 0.05 * (high - low) * (margin > 1.0)
                rows[name] = low - widen + (high - low + 2.0 * widen) * u[:, 2 + k]
            else:
                rows[name] = low * (high / low) ** u[:, 2 + k]
        return rows


def _rebuilt(text, distribution):
    return Family.read(text).replaced(distribution=distribution)
