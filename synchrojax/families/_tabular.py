"""A network for a table: a locked configuration between physical values and networks."""

import functools
import json
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import E2_OVER_MC, Columns, Masks, Points
from synchrojax.distributions import Absent
from synchrojax.families._base import (
    AbstractFamily,
    Dimensionless,
    Eight,
    Head,
    Networks,
    Point,
    point_type,
)
from synchrojax.tables import RESULTS, RHO_Q_SIGN, configuration, network_space
from synchrojax.tables.mapping import LN10

_LOGARITHMIC = ("log", "neg_log", "abs_log")
_POLICIES = {"clip": "clip", "extrapolate": "ignore", "nan": "nan"}


@final
class TableFamily(AbstractFamily):
    """What a locked ``Config`` says of a model.

    Each input has a policy of its own, for what lies outside of the table. ``lowest_sine``: of
    theta in the table, below which features stay what they are.
    """

    block = 4096
    default_policy = "configured"

    def __init__(self, name: Any, config: configuration.Config, lowest_sine: float) -> None:
        if not config.is_locked:
            raise ValueError(
                "the configuration is not locked: `synchrojax lock` stores bounds, means and "
                "deviations"
            )
        self.name, self.config, self.lowest_sine = str(name), config, float(lowest_sine)
        self.parameters = tuple(m.name for m in config.params if m.name not in ("s", "theta"))
        ends: dict[str, Any] = {m.name: (m.phys_min, m.phys_max) for m in config.params}
        self.domain = ends
        self.distribution = Absent(self.name, self.parameters)
        self._point = point_type("s", "theta", *self.parameters)
        self.members: dict = {}  # of each head: the results it gives, in order
        for result in config.results:
            self.members.setdefault(result.head, []).append(result)
        middle = {name: np.array([0.5 * (low + high)]) for name, (low, high) in ends.items()}
        self.results = tuple(result.mapping.name for result in config.results)
        self.heads = {}
        for head, results in self.members.items():
            inputs, recipe = len(self.features(head, middle, np)), results[0].recipe
            self.heads[head] = Head(
                inputs, len(results), recipe.units, recipe.activation, recipe.output
            )

    # On file ---------------------------------------------------------------------------------

    def described(self) -> dict[str, str]:
        text = configuration.dump(self.config)
        return {
            "table": json.dumps(
                {"name": self.name, "config": text, "lowest_sine": self.lowest_sine}
            )
        }

    @classmethod
    def read(cls, text: str) -> "TableFamily":
        """Inverse of ``described``."""
        given = json.loads(text)
        return cls(
            given["name"],
            configuration.parse(given["config"], "configuration in the model"),
            given["lowest_sine"],
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TableFamily) and self.described() == other.described()

    def __hash__(self) -> int:
        return hash((self.name, self.lowest_sine, self.config))

    def __reduce__(self) -> tuple[Any, ...]:
        return TableFamily.read, (self.described()["table"],)

    def with_policy(self, policy: str) -> "TableFamily":
        params = tuple(replace(m, out_of_sample=_POLICIES[policy]) for m in self.config.params)
        return TableFamily(self.name, replace(self.config, params=params), self.lowest_sine)

    # Between physical and network space -------------------------------------------------------

    def point(self, s: Points, theta: Points, own: Mapping[str, Points]) -> Point:
        return self._point(s, theta, *(own[name] for name in self.parameters))

    def coordinates(self, p: Point) -> dict[str, Points]:
        """The values of ``domain``, theta folded into 0..pi/2."""
        values = p._asdict() | {"theta": network_space.fold(p.theta, jnp)[0]}
        return {m.name: values[m.name] for m in self.config.params}

    def invalid(self, outside: Mapping[str, Masks], p: Point) -> tuple[Masks, Masks]:
        """Where the policy "nan" applies: ``evaluate`` has put NaN there already."""
        return (jnp.zeros_like(p.s, bool),) * 2

    def features(self, head: str, values: Mapping[str, Points], xp: ModuleType = jnp) -> list[Any]:
        """Rows of input: the mapped inputs, or those and combinations that physics suggests."""
        rows = [m.normalize(values[m.name], xp) for m in self.config.params]
        if self.members[head][0].recipe.features == "mapped":
            return rows
        rows = [row for row, m in zip(rows, self.config.params, strict=True) if m.name != "theta"]
        log_s, sine = xp.log(values["s"]), xp.maximum(xp.sin(values["theta"]), self.lowest_sine)
        along, across = log_s - xp.log(sine), log_s + xp.log(sine)
        return [*rows, across, along, sine * sine, xp.exp(-across / 3.0)]

    def targets(
        self, head: str, columns: Columns
    ) -> tuple[Float[np.ndarray, "rows results"], Float[np.ndarray, "rows results"]]:
        """(targets, weights that make their errors relative) [rows, results].

        ``columns``: of network space (NumPy).
        """
        targets, weights = [], []
        for result in self.members[head]:
            m, v = result.mapping, columns[result.mapping.name]
            if m.maptype in _LOGARITHMIC:
                size = np.full(len(v), LN10)
            elif m.maptype == "asinh":
                size = np.hypot(v, m.scale) / np.maximum(np.abs(v), m.scale)
            elif m.maptype == "logit":
                size = 1.0 - v
            else:
                size = np.full(len(v), 1.0 / m.x_std)
            with np.errstate(all="ignore"):
                target = m.normalize(v, np)
            known = m.valid(v)
            targets.append(np.where(known, target, 0.0))
            weights.append(np.where(known, m.x_std * size, 0.0))
        return np.stack(targets, -1), np.stack(weights, -1)

    def eight(self, columns: Columns) -> Float[np.ndarray, "rows 8"]:
        """The eight at nu = 1 Hz, n_e = 1 cm^-3 [row, 8] from columns of network space."""
        theta, sign = network_space.fold(columns["theta"])
        values = {r.mapping.name: columns[r.mapping.name] for r in self.config.results}
        rest = network_space.from_network(
            values,
            self.config.space,
            self.config.convention,
            columns["s"],
            np.sin(theta),
            sign * np.cos(theta),
            np,
        )
        j_q, j_v, alpha_q, alpha_v, rho_q, rho_v = (np.asarray(v) for v in rest)
        j, alpha = columns["j_I"], columns["alpha_I"]
        return np.stack(
            [j, j * j_q, j * j_v, alpha, alpha * alpha_q, alpha * alpha_v, rho_q, rho_v], -1
        )

    def error_scale(self, p: Point, truth: Eight) -> Eight:
        """Results mapped by asinh are relative to no less than the scale of that."""
        columns = {m.name: np.asarray(getattr(p, m.name)) for m in self.config.params}
        columns |= dict(zip(RESULTS, np.asarray(truth).T, strict=True))
        columns["rho_Q"] = RHO_Q_SIGN[self.config.convention] * columns["rho_Q"]
        known = network_space.to_network(columns, self.config.space, self.config.convention)
        for result in self.config.results:
            m = result.mapping
            if m.maptype == "asinh":
                known[m.name] = np.full_like(known[m.name], m.scale)
        return np.abs(self.eight(columns | known))

    def mean_squares(self, networks: Networks, columns: Columns) -> dict[str, float]:
        """{result: mean squared error of ``columns`` in network space} where it is defined."""
        found = {}
        for head, results in self.members.items():
            target, weight = self.targets(head, columns)
            output = np.asarray(
                networks[head](
                    jnp.stack([jnp.asarray(f) for f in self.features(head, columns, np)])
                )
            ).T
            for k, result in enumerate(results):
                found[result.mapping.name] = float(
                    np.mean((output - target)[weight[:, k] > 0.0, k] ** 2)
                )
        return found

    def outputs(
        self, networks: Networks, values: Mapping[str, Points]
    ) -> dict[str, Float[Array, "*points"]]:
        """{result: what its network gives} at ``values`` of the inputs."""
        known: dict = {}
        for head, results in self.members.items():
            outputs = networks[head](jnp.stack(self.features(head, values)))
            known |= {result.mapping.name: n for result, n in zip(results, outputs, strict=True)}
        return known

    def held(self, p: Point) -> tuple[dict[str, Any], Any, Points]:
        """({input: value under its policy}, where a policy gives NaN, sign of V coefficients)."""
        theta, sign = network_space.fold(p.theta, jnp)
        values, outside = p._asdict() | {"theta": theta}, []
        for m in self.config.params:
            values[m.name], bad = m.held(values[m.name])
            outside.append(bad)
        return values, functools.reduce(jnp.logical_or, outside), sign

    def results_outside(self, networks: Networks, p: Point) -> tuple[Masks, ...]:
        values, bad, _ = self.held(p)
        outputs = self.outputs(networks, values)
        ends: dict[str, Any] = {
            r.mapping.name: (r.mapping.norm_min, r.mapping.norm_max) for r in self.config.results
        }
        return tuple(
            bad | ~((outputs[name] >= low) & (outputs[name] <= high))
            for name, (low, high) in ends.items()
        )

    def evaluate(self, networks: Networks, p: Point, *, clip: bool) -> Dimensionless:
        """Out of the table each input follows its own policy, whatever ``clip`` says."""
        values, bad, sign = self.held(p)
        outputs = self.outputs(networks, values)
        mappings = [r.mapping for r in self.config.results]
        known = {m.name: (m.from_network(outputs[m.name]), m) for m in mappings}
        log_total = [
            t * LN10 if m.maptype in _LOGARITHMIC else jnp.log(m.restore(t))
            for t, m in (known["j_I"], known["alpha_I"])
        ]
        rest: dict[str, Any] = {
            name: m.restore(t) for name, (t, m) in known.items() if name not in ("j_I", "alpha_I")
        }
        theta = values["theta"]
        cosine = sign * jnp.cos(theta)
        j_q, j_v, alpha_q, alpha_v, rho_q, rho_v = network_space.from_network(
            rest,
            self.config.space,
            self.config.convention,
            values["s"],
            jnp.sin(theta),
            cosine,
            jnp,
        )
        out = (log_total[0], j_q, j_v, log_total[1], alpha_q, alpha_v)
        turned = rho_q / -E2_OVER_MC, rho_v / (2.0 * E2_OVER_MC)
        ones = (jnp.ones_like(rho_q),) * 3  # they are over those of cold plasma there
        return Dimensionless(*(jnp.where(bad, jnp.nan, v) for v in (*out, *turned, *ones)))
