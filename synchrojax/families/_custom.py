"""A network for a distribution of your own: ``synchrojax.Family``.

Nothing is known of its f, so that every coefficient is learned in its logarithm, or, if it changes
sign in the table, through asinh. (j_Q, j_V) / j_I is a point of the unit disk, V has a factor
cos(theta), and the rotativities are measured in those of cold plasma.
"""

import json
import keyword
import re
from collections.abc import Mapping
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import (
    Arrays,
    Columns,
    Masks,
    Points,
    cold,
    from_plane,
    low_and_high,
    number,
    sine_cosine,
    to_plane,
)
from synchrojax.distributions import (
    HIGHEST_GAMMA,
    RESERVED,
    Absent,
    Distribution,
    Function,
    require_names,
)
from synchrojax.families._base import (
    Comparison,
    Cube,
    Dimensionless,
    Eight,
    Head,
    Networks,
    Point,
    Rows,
    Sample,
    SampledFamily,
    only_of_rho_q,
    point_type,
)
from synchrojax.families._box import S_PERP, S_RANGE, Box, anywhere, direction_features
from synchrojax.families._learning import oblique
from synchrojax.tables import RESULTS

# head -> its results among the eight coefficients, from .. before
_RESULTS = {"emission": (0, 3), "absorption": (3, 6), "rho_Q": (6, 7), "rho_V": (7, 8)}
# a choice: quantile of the magnitudes below which a coefficient of either sign counts as near zero
_NEAR_ZERO = 0.1
# what a parameter must not be called, either: coordinates and columns of tables have these names
_TAKEN = (*RESERVED, "cosine", "s_sin_theta", "s_over_sin_theta", "time_ms", *RESULTS)


def _known_name(name: Any) -> str:
    """The name of a family. Raises ValueError."""
    if not (isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name)):
        raise ValueError(
            "the name of a Family is a word of letters, digits, '_', '-' and '.', such as "
            f"'broken_powerlaw', got {name!r}"
        )
    return name


def _known_box(box: Any, parameters: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """{parameter: (low, high)} for just the ``parameters`` of f. Raises ValueError."""
    takes = ", ".join(parameters) or "none"
    if not isinstance(box, Mapping):
        raise ValueError(
            f"box is a mapping of parameters to (low, high), got {box!r}; f takes {takes}"
        )
    if set(box) != set(parameters):
        raise ValueError(f"box is for {', '.join(map(str, box)) or 'none'}; f takes {takes}")
    require_names(parameters, _TAKEN)
    for k in parameters:
        if k.startswith("_") or not k.isidentifier() or keyword.iskeyword(k):
            raise ValueError(
                f"f has a parameter called {k!r}: give it another name, an identifier that does "
                "not begin with '_'"
            )
    return {k: low_and_high(ends, f"box of {k}") for k, ends in box.items()}


def _known_ranges(s: Any, highest_x: Any, gamma_max: Any) -> tuple[tuple[float, float], float]:
    """(range of s, highest s / sin(theta)). Raises ValueError."""
    low, high = low_and_high(s, "box of s")
    if low < S_PERP:
        raise ValueError(
            f"box of s: s = nu / nu_c starts at {low:g}, but s sin(theta) is from {S_PERP:g} up: "
            f"let it start at {S_PERP:g} or above"
        )
    default = 3.0 * number(gamma_max, "gamma_max") ** 2
    highest = default if highest_x is None else number(highest_x, "highest_x")
    if not highest > low:  # nor is NaN
        which = f"3 gamma_max^2 = {highest:g}, the default" if highest_x is None else f"{highest:g}"
        raise ValueError(
            f"highest_x, of s / sin(theta), must lie above the lowest s, {low:g}, got {which}"
        )
    return (low, high), highest


def _require_allowed(distribution: Distribution, box: Mapping[str, tuple[float, float]]) -> None:
    """Raise ValueError where a corner of ``box`` is outside of what the distribution allows."""
    corners = np.meshgrid(*(np.array(ends) for ends in box.values()), indexing="ij")
    own = {k: corner.ravel() for k, corner in zip(box, corners, strict=True)}
    for condition, broken in distribution.violated(**own).items():
        if np.any(broken):
            i = int(np.argmax(np.asarray(broken)))
            where = ", ".join(f"{k} = {v[i]:g}" for k, v in own.items())
            raise ValueError(f"box: {condition} does not hold at its corner {where}")
    distribution.check(**own)


@final
class Family(SampledFamily):
    """A distribution of your own and the box in which a network shall stand for it.

    ``name``: what models call it. ``f``: a function f(gamma, mu, **parameters) in JAX, even in mu
    and normalised to one electron, or a ``Distribution``. ``box``: parameter -> (low, high), for
    all parameters of f; a range that starts above zero is learned and sampled in the logarithm.
    ``s``: range of s = nu / nu_c; s sin(theta) is from 5 up. ``gamma_min``, ``gamma_max``: where f
    ends, without the delta functions of a jump there; ``breaks``: where it has kinks or jumps in
    between, as for ``distributions.Function`` (numbers and names of parameters travel to other
    processes, a lambda does not). A ``Distribution`` has its own ends and breaks. s / sin(theta) is
    up to ``highest_x``, by default 3 gamma_max^2: emission falls exponentially beyond. Give it to
    ``generate``, ``train`` and ``validate`` in place of a name. Raises ValueError for a box that
    does not fit f or leaves what a ``Distribution`` allows, for names that are taken, for an f that
    is not even and for ends or breaks beside a ``Distribution``.
    """

    block = 16384
    base = None
    comparison = Comparison()

    def __init__(
        self,
        name: Any,
        f: Any,
        box: Any,
        *,
        s: Any = S_RANGE,
        gamma_min: Any = 1.0,
        gamma_max: Any = HIGHEST_GAMMA,
        breaks: Any = (),
        highest_x: Any = None,
    ) -> None:
        name = _known_name(name)
        if isinstance(f, type):
            raise ValueError(
                f"f is the class {f.__name__}: give an object of it, {f.__name__}(), or a function "
                "f(gamma, mu)"
            )
        known = isinstance(f, Distribution)
        if known and not (isinstance(breaks, tuple) and not breaks):
            raise ValueError("breaks belong to a function f(gamma, mu): a Distribution has its own")
        for which, given, default in (
            ("gamma_min", gamma_min, 1.0),
            ("gamma_max", gamma_max, HIGHEST_GAMMA),
        ):
            if known and number(given, which) != default:
                raise ValueError(
                    f"{which} belongs to a function f(gamma, mu): a Distribution ends where it "
                    "does; how far emission reaches is highest_x, of s / sin(theta)"
                )
        self.distribution = (
            f if known else Function(f, gamma_min=gamma_min, gamma_max=gamma_max, breaks=breaks)
        )
        box = _known_box(box, self.distribution.parameters)
        s, highest_x = _known_ranges(s, highest_x, gamma_max)
        self._set(name, box, s, highest_x)
        _require_allowed(self.distribution, box)
        if not known:  # a network knows theta up to pi/2
            for end in range(2):
                self.distribution.require_even(**{k: ends[end] for k, ends in box.items()})
        self.maps: tuple = ()

    def _set(self, name: Any, box: Mapping[str, Any], s: Any, highest_x: Any) -> None:
        own = {k: low_and_high(ends, f"box of {k}") for k, ends in box.items()}
        s = low_and_high(s, "box of s")
        self.box = Box(own, s=s, highest_x=min(float(highest_x), s[1] ** 2 / S_PERP))
        self.name, self.parameters, self.domain = str(name), tuple(own), self.box.domain
        self.dimensions = 2 + len(own)
        self.linear = ("theta", *(k for k, (low, _) in own.items() if low <= 0.0))
        # beside the length of ``_features``
        self.heads = {
            head: Head(4 + len(own), stop - start) for head, (start, stop) in _RESULTS.items()
        }
        self._point = point_type("s", "sine", "cosine", *own)

    # What is learned, on file -----------------------------------------------------------------

    def described(self) -> dict[str, str]:
        """All of it but f."""
        rest = {"s": self.box.s, "highest_x": self.box.highest_x, "maps": self.maps}
        return {"family": json.dumps({"name": self.name, "box": self.box.own, **rest})}

    @classmethod
    def read(cls, text: str) -> "Family":
        """Inverse of ``described``, without f."""
        family, given = cls.__new__(cls), json.loads(text)
        family._set(given["name"], given["box"], given["s"], given["highest_x"])
        family.maps = tuple(tuple(map(float, m)) for m in given["maps"])
        family.distribution = Absent(family.name, family.parameters)
        return family

    def replaced(self, **changes: Any) -> "Family":
        """A copy with other ``maps`` or another ``distribution``."""
        other = object.__new__(type(self))  # a copy goes by way of here
        other.__dict__.update(self.__dict__ | changes)
        return other

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Family) or self.described() != other.described():
            return False
        return self.distribution == other.distribution

    def __hash__(self) -> int:
        return hash((self.name, self.maps))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.described()["family"], self.distribution)

    def locked(self, table: Columns) -> "Family":
        """The same family with the maps that suit a table.

        They are (sign or 0, scale, mean, deviation) of each coefficient.
        """
        row = {k: np.asarray(v) for k, v in table.items()}
        for k in ("j_I", "alpha_I"):
            if np.any(row[k] <= 0.0):
                wrong = np.flatnonzero(row[k] <= 0.0)
                first = ", ".join(f"{n} = {row[n][wrong[0]]:.4g}" for n in ("s", "theta"))
                raise ValueError(
                    f"{k} is not positive in {len(wrong)} of {len(row[k])} rows, the first at "
                    f"{first}: there is no network for that. Emission that has fallen to nothing "
                    "is left out by a lower highest_x of the Family, of s / sin(theta), which is "
                    f"{self.box.highest_x:.4g}, or a lower range of s"
                )
        maps = []
        for value in self._plain(self.point(row["s"], row["theta"], row), row):
            value = value[np.isfinite(value)]
            sign = 1.0 if np.all(value > 0.0) else -1.0 if np.all(value < 0.0) else 0.0
            scale = 1.0 if sign else float(np.quantile(np.abs(value), _NEAR_ZERO))
            y = np.log(sign * value) if sign else np.arcsinh(value / scale)
            maps.append((sign, scale, float(np.mean(y)), float(np.std(y)) or 1.0))
        return self.replaced(maps=tuple(maps))

    # Between physical and network space -------------------------------------------------------

    def point(self, s: Points, theta: Points, own: Mapping[str, Points]) -> Point:
        return self._point(s, *sine_cosine(theta), *(own[name] for name in self.parameters))

    def coordinates(self, p: Point) -> dict[str, Points]:
        return self.box.coordinates(p)

    def invalid(self, outside: Mapping[str, Masks], p: Point) -> tuple[Masks, Masks]:
        return anywhere(outside)

    def combine(
        self,
        head: str,
        output: Float[Arrays, "outputs *points"],
        extra: Float[Arrays, "extra *points"],
    ) -> Float[Arrays, "outputs *points"]:
        return output

    def _plain(self, p: Point, row: Columns) -> list[Float[np.ndarray, " rows"]]:
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

    def _features(self, p: Point) -> Float[Array, "features *points"]:
        (low, high), highest_x = self.box.s, self.box.highest_x

        def scaled(value: Points, a: Any, b: Any) -> Points:
            return (2.0 * value - (a + b)) / (b - a)

        rows = [
            scaled(jnp.log(p.s * p.sine), np.log(S_PERP), np.log(high)),
            scaled(jnp.log(p.s) - jnp.log(p.sine), np.log(low), np.log(highest_x)),
            *direction_features(p.s, p.sine),
        ]
        for name, (a, b) in self.box.own.items():
            value = getattr(p, name)
            rows.append(
                scaled(value, a, b)
                if name in self.linear
                else scaled(jnp.log(value), np.log(a), np.log(b))
            )
        return jnp.stack(rows)

    def training_rows(self, head: str, table: Columns, networks: Networks) -> Rows:
        row = {k: np.asarray(v) for k, v in table.items()}
        keep = np.flatnonzero(oblique(row["theta"]))
        row = {k: v[keep] for k, v in row.items()}
        p = self.point(row["s"], row["theta"], row)
        start, stop = _RESULTS[head]
        targets, weights = [], []
        for value, (sign, scale, mean, deviation) in zip(
            self._plain(p, row)[start:stop], self.maps[start:stop], strict=True
        ):
            size = np.abs(value)
            targets.append(
                ((np.log(size) if sign else np.arcsinh(value / scale)) - mean) / deviation
            )
            weights.append(
                deviation * (1.0 if sign else np.hypot(value, scale) / np.maximum(size, scale))
                + 0.0 * size
            )
        nothing = np.zeros((len(keep), 1))
        return Rows(
            keep, self._features(p).T, nothing, np.stack(targets, -1), np.stack(weights, -1)
        )

    def evaluate(self, networks: Networks, p: Point, *, clip: bool) -> Dimensionless:
        p = self.box.clamp(p) if clip else self.box.within_reach(p)
        features = self._features(p)
        outputs = jnp.concatenate([networks[head](features) for head in _RESULTS])
        y = [
            o * deviation + mean
            for o, (_, _, mean, deviation) in zip(outputs, self.maps, strict=True)
        ]
        value = [
            sign * jnp.exp(v) if sign else scale * jnp.sinh(v)
            for v, (sign, scale, _, _) in zip(y, self.maps, strict=True)
        ]
        q, v = from_plane(value[1], value[2] * p.cosine)
        alpha = value[4], value[5] * p.cosine
        seen = p.s, p.sine, p.cosine
        return Dimensionless(y[0], q, v, y[3], *alpha, value[6], value[7], *seen)

    def error_scale(self, p: Point, truth: Eight) -> Eight:
        """A rho_Q that changes sign is relative to no less than the scale of its asinh."""
        sign, scale, _, _ = self.maps[6]
        return only_of_rho_q(jnp.abs(cold(p.s, p.sine, p.cosine)[0]) * (0.0 if sign else scale))

    # To learn from ---------------------------------------------------------------------------

    def sample(self, u: Cube, margin: float | int) -> Sample:
        rows = self.box.directions(u, margin)
        for k, (name, (low, high)) in enumerate(self.box.own.items()):
            if name in self.linear:
                # a choice: a twentieth of the range on both sides, whatever the margin
                widen = 0.05 * (high - low) * (margin > 1.0)
                rows[name] = low - widen + (high - low + 2.0 * widen) * u[:, 2 + k]
            else:
                rows[name] = low * (high / low) ** u[:, 2 + k]
        return rows

    def sample_to_learn(self, u: Cube, margin: float | int) -> Sample:
        return self.sample(u, margin)


def _rebuilt(text: str, distribution: Distribution) -> Family:
    return Family.read(text).replaced(distribution=distribution)
