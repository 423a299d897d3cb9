"""A network for a table: ``TableFamily`` puts a locked configuration between physical values and networks."""

import collections
import functools
import json
from dataclasses import replace

import jax.numpy as jnp
import numpy as np

from synchrojax.distributions import Absent
from synchrojax.tables import configuration, network_space
from synchrojax.tables.mapping import LN10

_LOGARITHMIC = ("log", "neg_log", "abs_log")
_POLICIES = {"clip": "clip", "extrapolate": "ignore", "nan": "nan"}


class TableFamily:
    """What ``train`` and ``Model`` need to know (see ``_families``), from a locked ``Config``.

    ``lowest_sine``: of theta in the table, below which features stay what they are.
    """

    BLOCK = 4096

    def __init__(self, name, config, lowest_sine):
        if not config.is_locked:
            raise ValueError("the configuration is not locked: `synchrojax lock` stores bounds, means and deviations")
        self.NAME, self.config, self.lowest_sine = str(name), config, float(lowest_sine)
        self.PARAMETERS = tuple(m.name for m in config.params if m.name not in ("s", "theta"))
        self.DOMAIN = {m.name: (m.phys_min, m.phys_max) for m in config.params}
        self.distribution = Absent(self.NAME, self.PARAMETERS)
        self._point = collections.namedtuple("Point", ("s", "theta", *self.PARAMETERS))
        self.members: dict = {}  # of each head: the results it gives, in order
        for result in config.results:
            self.members.setdefault(result.head, []).append(result)
        middle = {m.name: np.array([0.5 * (m.phys_min + m.phys_max)]) for m in config.params}
        self.HEADS, self.ACTIVATIONS = {}, {}
        for head, results in self.members.items():
            self.HEADS[head] = len(self.features(head, middle, np)), len(results)
            recipe = results[0].recipe
            self.ACTIVATIONS[head] = {"activation": recipe.activation, "output": recipe.output}

    # On file ---------------------------------------------------------------------------------

    def describe(self):
        """All of it as text."""
        text = configuration.dump(self.config)
        return json.dumps({"name": self.NAME, "config": text, "lowest_sine": self.lowest_sine})

    @classmethod
    def read(cls, text):
        """Inverse of ``describe``."""
        given = json.loads(text)
        return cls(
            given["name"], configuration.parse(given["config"], "configuration in the model"), given["lowest_sine"]
        )

    def __eq__(self, other):
        return isinstance(other, TableFamily) and self.describe() == other.describe()

    def __hash__(self):
        return hash((self.NAME, self.lowest_sine, self.config))

    def __reduce__(self):
        return TableFamily.read, (self.describe(),)

    def with_policy(self, policy):
        """The same with one policy for all inputs in place of the configured ones."""
        params = tuple(replace(m, out_of_sample=_POLICIES[policy]) for m in self.config.params)
        return TableFamily(self.NAME, replace(self.config, params=params), self.lowest_sine)

    # Between physical and network space -------------------------------------------------------

    def point(self, s, theta, *own):
        return self._point(s, theta, *own)

    def coordinates(self, p):
        """The values of ``DOMAIN``, theta folded into 0..pi/2."""
        values = p._asdict() | {"theta": network_space.fold(p.theta, jnp)[0]}
        return [values[m.name] for m in self.config.params]

    def invalid(self, outside, p):
        """Where the policy "nan" applies: ``evaluate`` has put NaN there already."""
        return (jnp.zeros_like(p.s, bool),) * 2

    def combine(self, head, output, extra):
        """Network output to the target: nothing in between."""
        return output

    def features(self, head, values, xp=jnp):
        """Rows of input of a network: the mapped inputs, or those and combinations that the physics suggests."""
        rows = [m.normalize(values[m.name], xp) for m in self.config.params]
        if self.members[head][0].recipe.features == "mapped":
            return rows
        rows = [row for row, m in zip(rows, self.config.params, strict=True) if m.name != "theta"]
        log_s, sine = xp.log(values["s"]), xp.maximum(xp.sin(values["theta"]), self.lowest_sine)
        along, across = log_s - xp.log(sine), log_s + xp.log(sine)
        return [*rows, across, along, sine * sine, xp.exp(-across / 3.0)]

    def targets(self, head, columns):
        """(targets, weights that make their errors relative) [rows, results] from columns of network space (NumPy)."""
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

    def eight(self, columns):
        """The eight of physics at nu = 1 Hz, n_e = 1 cm^-3 as [row, 8] from columns of network space (NumPy)."""
        theta, sign = network_space.fold(columns["theta"])
        values = {r.mapping.name: columns[r.mapping.name] for r in self.config.results}
        rest = network_space.from_network(
            values, self.config.space, self.config.convention, columns["s"], np.sin(theta), sign * np.cos(theta), np
        )
        j_q, j_v, alpha_q, alpha_v, rho_q, rho_v = (np.asarray(v) for v in rest)
        j, alpha = columns["j_I"], columns["alpha_I"]
        return np.stack([j, j * j_q, j * j_v, alpha, alpha * alpha_q, alpha * alpha_v, rho_q, rho_v], -1)

    def faint(self, columns):
        """{result: column}, those mapped by asinh replaced by the scale below which they count as near zero."""
        mappings = [r.mapping for r in self.config.results]
        return {
            m.name: np.full_like(columns[m.name], m.scale) if m.maptype == "asinh" else columns[m.name]
            for m in mappings
        }

    def mean_squares(self, networks, columns):
        """{result: mean squared error in network space} over columns of it (NumPy), where its mapping is defined."""
        found = {}
        for head, results in self.members.items():
            target, weight = self.targets(head, columns)
            output = np.asarray(networks[head](jnp.stack([jnp.asarray(f) for f in self.features(head, columns, np)]))).T
            for k, result in enumerate(results):
                found[result.mapping.name] = float(np.mean((output - target)[weight[:, k] > 0.0, k] ** 2))
        return found

    def outputs(self, networks, values):
        """{result: what its network gives} at ``values`` of the inputs."""
        known = {}
        for head, results in self.members.items():
            outputs = networks[head](jnp.stack(self.features(head, values)))
            known |= {result.mapping.name: n for result, n in zip(results, outputs, strict=True)}
        return known

    def admitted(self, p):
        """({input: value under its policy}, where a policy gives NaN, sign of the V coefficients)."""
        theta, sign = network_space.fold(p.theta, jnp)
        values, outside = p._asdict() | {"theta": theta}, []
        for m in self.config.params:
            values[m.name], bad = m.admit(values[m.name])
            outside.append(bad)
        return values, functools.reduce(jnp.logical_or, outside), sign

    def beyond(self, networks, p):
        """For each result: where its network leaves the range that the table held, or a policy gives NaN."""
        values, bad, _ = self.admitted(p)
        outputs, mappings = self.outputs(networks, values), [r.mapping for r in self.config.results]
        return [bad | ~((outputs[m.name] >= m.norm_min) & (outputs[m.name] <= m.norm_max)) for m in mappings]

    def evaluate(self, networks, p, *, clip):
        """ln j_I, j_Q / j_I, j_V / j_I, the same of alpha, rho_Q, rho_V at nu = 1 Hz, n_e = 1 cm^-3.

        Out of the table each input follows its own policy, whatever ``clip`` says.
        """
        values, bad, sign = self.admitted(p)
        outputs = self.outputs(networks, values)
        mappings = [r.mapping for r in self.config.results]
        known = {m.name: (m.from_network(outputs[m.name]), m) for m in mappings}
        log_total = [
            t * LN10 if m.maptype in _LOGARITHMIC else jnp.log(m.restore(t))
            for t, m in (known["j_I"], known["alpha_I"])
        ]
        rest = {name: m.restore(t) for name, (t, m) in known.items() if name not in ("j_I", "alpha_I")}
        theta = values["theta"]
        cosine = sign * jnp.cos(theta)
        j_q, j_v, alpha_q, alpha_v, rho_q, rho_v = network_space.from_network(
            rest, self.config.space, self.config.convention, values["s"], jnp.sin(theta), cosine, jnp
        )
        out = (log_total[0], j_q, j_v, log_total[1], alpha_q, alpha_v, rho_q, rho_v)
        return tuple(jnp.where(bad, jnp.nan, v) for v in out)
