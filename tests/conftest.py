import gc
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

# compiled code is shared by the workers and by the processes that tests start; made before JAX
# reads it
_SHARED = "JAX_COMPILATION_CACHE_DIR"
_OWN = None
if _SHARED not in os.environ:
    _OWN = os.environ[_SHARED] = tempfile.mkdtemp(prefix="synchrojax-compiled-")

# the time of the suite is compilation: what follows compiles in a third of it, to programs that
# take several times as long; exhaustive checks and benchmarks are compiled as those of users are
_QUICK = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
_USUAL = any(word in " ".join(sys.argv) for word in ("slow", "benchmark-only"))
# workers have what their parent chose
if not (_USUAL or {"XLA_FLAGS", "PYTEST_XDIST_WORKER"} & set(os.environ)):
    # a flag that is unknown ends the process
    _tried = [sys.executable, "-c", "import jax; jax.devices()"]
    if (
        subprocess.run(
            _tried, env=os.environ | {"XLA_FLAGS": _QUICK}, capture_output=True
        ).returncode
        == 0
    ):
        os.environ["XLA_FLAGS"] = _QUICK

import jax  # noqa: E402
import numpy as np  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

# annotations of arrays and of everything else are checked at every call
with install_import_hook("synchrojax", "beartype.beartype"):
    import synchrojax
    from synchrojax.core import _inputs

# no array is broadcast to another rank without a word: not in tests, and not in the package, which
# forgives it to users
jax.config.update("jax_numpy_rank_promotion", "raise")
_inputs._OWN["numpy_rank_promotion"] = "raise"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Benchmarks run with --benchmark-only and are skipped otherwise."""
    if not config.option.benchmark_only:
        config.option.benchmark_skip = True


def pytest_unconfigure():
    if _OWN:
        shutil.rmtree(_OWN, ignore_errors=True)


@pytest.fixture(autouse=True)
def _restore_x64():
    """The commands switch float64 on for their process; here that process goes on."""
    before = jax.config.jax_enable_x64
    yield
    jax.config.update("jax_enable_x64", before)


# a process may have 65,530 maps of memory on Linux, and ends where a program takes one more
_MOST_MAPS = 25_000


@pytest.fixture(autouse=True, scope="module")
def _few_programs():
    """Compiled programs are let go after a file of tests, once they are many."""
    yield
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()
        gc.collect()


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
