"""What the package computed before its files were moved into rooms: values and gradients that must
stay.

``python tests/pinned.py`` writes pinned.npz anew; do so only together with a mend that changes
values, and say so. Eight models: the five packaged ones, one for a table, one imported from
neurosynchro, one for a distribution of the user's own (the last three with small weights from a
seed, but for the imported one, which Keras made); transfer along rays; exact integrals.
"""

import pathlib
import tempfile
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

import synchrojax
from synchrojax import SkyCoefficients, exact, generate, transfer
from synchrojax.core import GYRO
from synchrojax.families import SampledFamily, TableFamily
from synchrojax.model import Model, import_neurosynchro
from synchrojax.networks import Perceptron
from synchrojax.tables import configuration

HERE = pathlib.Path(__file__).parent
FILE = HERE / "pinned.npz"
POINTS, RAYS, CELLS, EXACT = 1000, 50, 6, 50
DTYPES = "float32", "float64"


def small_network(head):
    """A network with one hidden layer, from a seed."""
    rng, sizes = np.random.default_rng(7), ((head.inputs, 4), (4, head.outputs))
    layers = tuple((rng.normal(size=(a, b)) / np.sqrt(a), rng.normal(size=b)) for a, b in sizes)
    return Perceptron.of(layers, activation=head.activation, output=head.output)


def flat_f(gamma, mu, a):
    return gamma ** (a - 4.0)


def family_model(name="broken"):
    """For a distribution of the user's own."""
    family = synchrojax.Family(name, flat_f, {"a": (-0.7, 0.7)}, gamma_max=1e3)
    family = family.replaced(maps=((1.0, 1.0, 0.0, 1.0),) * 6 + ((0.0, 0.5, 0.1, 0.7),) * 2)
    return Model(
        {name: small_network(head) for name, head in family.heads.items()}, family, "clip", "{}"
    )


def table_model():
    """For a table."""
    config = configuration.default({"p": "lin"}, convention="synchrojax", space="synchrojax")

    def locked(mapping):
        return mapping.locked(np.array([-1.5, -0.5, -0.2, 0.2, 0.5, 1.5]))[0]

    params = tuple(map(locked, config.params))
    results = tuple(replace(r, mapping=locked(r.mapping)) for r in config.results)
    family = TableFamily("table", replace(config, params=params, results=results), 0.1)
    return Model(
        {name: small_network(head) for name, head in family.heads.items()},
        family,
        "configured",
        "{}",
    )


def imported_model():
    """What Keras 2 left in tests/neurosynchro."""
    with tempfile.TemporaryDirectory() as here:
        return synchrojax.load(
            import_neurosynchro(HERE / "neurosynchro" / "keras2", f"{here}/imported.safetensors")
        )


# electrons on a grid are no columns
NAMES = [name for name in synchrojax.models() if name != "tabulated"]
MAKERS = {name: lambda name=name: synchrojax.load(name) for name in NAMES}
MAKERS |= {"table": table_model, "imported": imported_model, "family": family_model}


def points_of(name, model, rng):
    """params {input: [point]}, the same numbers in float32 and float64; one in five near or beyond
    the box.
    """
    if isinstance(model.family, SampledFamily):
        inner = generate.draw(model.family, POINTS, seed=5, margin=1.0)
        outer = generate.draw(model.family, POINTS, seed=6, margin=1.2)
        own = {k: np.where(np.arange(POINTS) % 5 == 0, outer[k], inner[k]) for k in inner}
    else:
        own = {
            k: low + (high - low) * rng.random(POINTS) for k, (low, high) in model.domain.items()
        }
        if name == "imported":
            own["s"] = 10.0 * 1e5 ** rng.random(POINTS)
        else:
            own["s"] = np.abs(own["s"]) + 0.01
    b = 10.0 ** rng.uniform(-1.0, 3.0, POINTS)
    theta = np.where(rng.random(POINTS) < 0.5, own["theta"], np.pi - own["theta"])
    rest = {k: v for k, v in own.items() if k not in ("s", "theta")}
    nu, n_e = GYRO * own["s"] * b, 10.0 ** rng.uniform(4.0, 12.0, POINTS)
    return {
        k: v.astype(np.float32)
        for k, v in {"nu": nu, "B": b, "n_e": n_e, "theta": theta, **rest}.items()
    }


def evaluated(model, params, steps, weights):
    """The eight, their change along ``steps``, and the gradient of the sum of ``weights`` times
    them.
    """

    def call(params):
        return tuple(model.coefficients(params))

    values, changes = jax.jvp(call, (params,), (steps,))
    gradient = jax.vjp(call, params)[1](weights)[0]
    return jnp.stack(values), jnp.stack(changes), jnp.stack([gradient[k] for k in model.inputs])


def of_model(model, known, dtype):
    """(values [8, point], changes [8, point], gradient [input, point]) at the stored points."""
    with jax.enable_x64(dtype == "float64"):
        columns = {
            what: [jnp.asarray(row, dtype) for row in known[what]]
            for what in ("params", "steps", "weights")
        }
        params, steps = (
            dict(zip(model.inputs, columns[what], strict=True)) for what in ("params", "steps")
        )
        weights = tuple(columns["weights"])
        return [np.asarray(v) for v in jax.jit(evaluated)(model, params, steps, weights)]


def sensitivity(model, params):
    """Sum over the inputs of |d c / d ln input| [8, point], in float64: what rounding of inputs
    does to c.
    """
    params = {k: jnp.asarray(row, "float64") for k, row in zip(model.inputs, params, strict=True)}

    def along(name):
        step = {k: (v if k == name else jnp.zeros_like(v)) for k, v in params.items()}
        return jnp.stack(jax.jvp(lambda p: tuple(model.coefficients(p)), (params,), (step,))[1])

    return np.asarray(sum(jnp.abs(along(name)) for name in params))


def rays():
    """(coefficients, lengths, angles) [ray, cell]: thin and thick, with little and much Faraday
    rotation.
    """
    rng = np.random.default_rng(11)
    shape = RAYS, CELLS

    def vector(size):
        v = rng.normal(size=(3, *shape))
        return v * size / np.linalg.norm(v, axis=0)

    scale, turning = 10.0 ** rng.uniform(-3, 1, (RAYS, 1)), 10.0 ** rng.uniform(-3, 2, (RAYS, 1))
    alpha, j = (scale * rng.uniform(0.5, 1.5, shape) for _ in range(2))
    a, e = vector(alpha * rng.uniform(0, 1, shape)), vector(j * rng.uniform(0, 1, shape))
    c = SkyCoefficients(j, *e, alpha, *a, *vector(turning * rng.uniform(0.2, 1.0, shape)))
    return c, rng.uniform(0.1, 1.0, shape)


def of_rays():
    """Stokes after each ray and the gradient of their sum by every coefficient and length."""
    c, ds = rays()

    def total(c, ds):
        stokes = transfer.solve(c, ds)
        return sum(jnp.sum(v) for v in stokes), stokes

    (by_c, by_ds), stokes = jax.jit(jax.grad(total, argnums=(0, 1), has_aux=True))(c, ds)
    return np.stack(stokes), np.stack([*by_c, by_ds])


def of_exact(known):
    """The exact eight of each packaged distribution at the first of its stored points [name, 8,
    point].
    """
    found = []
    for name in NAMES:
        params = known[name]["params"][:, 1 : 1 + EXACT // 5]
        inputs = synchrojax.load(name).inputs
        found.append(
            np.stack(exact.coefficients(name, dict(zip(inputs, params.astype(float), strict=True))))
        )
    return np.stack(found)


def make():
    stored = {}
    known = {}
    for name, maker in MAKERS.items():
        model, rng = maker(), np.random.default_rng(len(name))
        params = np.stack(list(points_of(name, model, rng).values()))
        relative = rng.normal(size=params.shape).astype(np.float32)
        steps = relative * np.where([[n == "theta"] for n in model.inputs], np.float32(1.0), params)
        known[name] = {
            "params": params,
            "steps": steps,
            "weights": np.zeros((8, POINTS), np.float32),
        }
        size = np.clip(np.abs(of_model(model, known[name], "float64")[0]), 1e-30, 1e30)
        known[name]["weights"] = (rng.normal(size=size.shape) / size).astype(np.float32)
        stored |= {f"{name}.{k}": v for k, v in known[name].items()}
        stored[f"{name}.sensitivity"] = sensitivity(model, params)
        for dtype in DTYPES:
            found = of_model(model, known[name], dtype)
            stored |= {
                f"{name}.{dtype}.{k}": v
                for k, v in zip(("values", "changes", "gradient"), found, strict=True)
            }
        print(name, "done", flush=True)
    stored["rays.stokes"], stored["rays.gradient"] = of_rays()
    stored["exact"] = of_exact(known)
    np.savez_compressed(FILE, **stored)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    make()
