"""Values and gradients are what they were before the files were moved into rooms (see pinned.py).

Differences are measured in what a change of an input or of the result by one part changes: |c| +
sum |dc / d ln input|. Two compilers, or two sets of options of one, differ by a few roundings so
measured in most points. Where two ends of a power law nearly cancel, and at clamped edges, where a
slope has two sides, they differ by more; so the tolerance holds for 80 % of the numbers (it does
for 90 % but for the gradients of power laws in float32), and a thousand times it for all values and
99 % of the derivatives.
"""

import numpy as np
import pinned
import pytest

STORED = dict(np.load(pinned.FILE))
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}


def apart(found, wanted, size):
    """|found - wanted| over ``size``, where float32 holds either."""
    assert np.array_equal(np.isnan(found), np.isnan(wanted))
    held = (size > 1e-36) & (size < 1e36) if found.dtype == np.float32 else size > 0.0
    assert np.mean(held) > 0.5
    return np.abs(found.astype(float) - wanted)[held] / size[held]


@pytest.mark.filterwarnings("ignore:f integrates to")
@pytest.mark.parametrize("dtype", pinned.DTYPES)
@pytest.mark.parametrize("name", pinned.MAKERS)
def test_models(name, dtype):
    given = {k: STORED[f"{name}.{k}"] for k in ("params", "steps", "weights")}
    values, changes, gradient = pinned.of_model(pinned.MAKERS[name](), given, dtype)
    wanted = {
        k: STORED[f"{name}.{dtype}.{k}"].astype(float) for k in ("values", "changes", "gradient")
    }
    size, logs = (
        np.abs(wanted["values"]) + STORED[f"{name}.sensitivity"],
        given["params"].astype(float),
    )
    total = np.broadcast_to(np.sum(np.abs(given["weights"]) * size, 0), logs.shape)
    apart_by = {
        "values": apart(values, wanted["values"], size),
        "changes": apart(changes, wanted["changes"], np.maximum(size, np.abs(wanted["changes"]))),
        "gradient": apart(gradient * logs.astype(gradient.dtype), wanted["gradient"] * logs, total),
    }
    for what, distance in apart_by.items():
        usual, most, largest = np.quantile(distance, [0.8, 0.99, 1.0])
        print(f"{name} {dtype} {what}: {usual:.1e} {most:.1e} {largest:.1e}")
        assert usual <= TOLERANCE[dtype]
        assert (largest if what == "values" else most) <= 1e3 * TOLERANCE[dtype]


@pytest.mark.usefixtures("x64")
def test_rays():
    stokes, gradient = pinned.of_rays()
    for found, wanted in ((stokes, STORED["rays.stokes"]), (gradient, STORED["rays.gradient"])):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-12 * np.max(np.abs(wanted)))


@pytest.mark.slow  # compiles the integrals of five distributions
@pytest.mark.usefixtures("x64")
def test_exact():
    found = pinned.of_exact({name: {"params": STORED[f"{name}.params"]} for name in pinned.NAMES})
    wanted = STORED["exact"]
    scale = np.abs(wanted)
    scale[:, :3], scale[:, 3:6] = scale[:, :1], scale[:, 3:4]
    assert np.max(np.abs(found - wanted) / np.maximum(scale, 1e-250)) <= 1e-11
