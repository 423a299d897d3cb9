import jax
import numpy as np
import pytest

import synchrojax


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Benchmarks run with --benchmark-only and are skipped otherwise."""
    if not config.option.benchmark_only:
        config.option.benchmark_skip = True


@pytest.fixture
def x64():
    """float64 for this test only; the package never switches it on by itself."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(params=["float32", "float64"])
def precision(request):
    with jax.enable_x64(request.param == "float64"):
        yield request.param


@pytest.fixture(scope="session")
def model():
    return synchrojax.load("thermal")


@pytest.fixture
def point():
    return {"nu": 230e9, "B": 30.0, "n_e": 1e6, "theta": 1.0, "theta_e": 10.0}


@pytest.fixture
def rng():
    return np.random.default_rng(20261120)
