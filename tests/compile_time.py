"""CPU seconds that compilation takes, and how derivatives of a slab's spectrum run:
``python tests/compile_time.py``.

Every case is traced and compiled in a process of its own, without kept programs, for 20 frequencies
in float64: values and gradients of the packaged models, ``transfer.solve`` of one cell and its
gradient, and the spectrum of a slab (coefficients and transfer of one cell) with its gradient. The
last rows compare the run time of the slab's Jacobian with that of its values. Name cases to run
those alone.
"""

import os
import subprocess
import sys
import time

BARS = {  # CPU seconds
    **{f"{name} value": 2.0 for name in ("thermal", "powerlaw", "kappa")},
    **{f"{name} gradient": 5.0 for name in ("thermal", "powerlaw", "kappa")},
    **{f"{name} value": 4.0 for name in ("powerlaw_pitch", "kappa_pitch")},
    **{f"{name} gradient": 10.0 for name in ("powerlaw_pitch", "kappa_pitch")},
    **{"solve value": 1.5, "solve gradient": 4.0, "slab gradient": 8.0},
}
RUN_BARS = {"slab jacfwd": 6.0, "slab reverse": 4.0}  # times the run time of the value
OWN = {
    "thermal": {"theta_e": 10.0},
    "powerlaw": {"p": 2.5, "gamma_min": 2.0, "gamma_max": 1e5},
    "powerlaw_pitch": {"p": 2.5, "gamma_min": 2.0, "gamma_max": 1e5, "k": 1.0},
    "kappa": {"kappa": 4.0, "w": 3.0},
    "kappa_pitch": {"kappa": 4.0, "w": 3.0, "k": 1.0},
}


def functions():
    """{case: (function of one argument, that argument)}; gradients go with their value."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    import synchrojax
    from synchrojax import SkyCoefficients, transfer

    nu = jnp.geomspace(1e9, 1e12, 20)
    common = {"nu": nu, "B": 30.0, "n_e": 1e6, "theta": 1.0}
    found = {}

    def add(name, function, argument):
        found[f"{name} value"] = function, argument
        found[f"{name} gradient"] = (
            jax.value_and_grad(lambda x: sum(map(jnp.sum, function(x)))),
            argument,
        )

    for name, own in OWN.items():
        params = {k: jnp.full(20, v) for k, v in {**common, **own}.items()}
        add(name, synchrojax.load(name).coefficients, params)
    cell = SkyCoefficients(*(jnp.full((20, 1), v) for v in np.linspace(0.1, 1.1, 11)))
    add("solve", lambda x: transfer.solve(*x), (cell, jnp.full((20, 1), 0.5)))
    thermal = synchrojax.load("thermal")

    def slab(x):
        c = thermal.coefficients({"nu": nu[:, None], **x})
        return transfer.solve(c, 1e12, psi=0.3)

    four = {
        "B": jnp.asarray(30.0),
        "n_e": jnp.asarray(1e6),
        "theta": jnp.asarray(1.0),
        "theta_e": jnp.asarray(10.0),
    }
    add("slab", slab, four)
    found["slab jacfwd"] = jax.jacfwd(slab), four
    return found


def compile_one(case):
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.jit(lambda x: x + 1.0)(1.0)  # what every process pays once
    function, argument = functions()[case]
    before = time.process_time()
    jax.jit(function).lower(argument).compile()
    return time.process_time() - before


def run_times():
    """{case: seconds of one call} of the compiled slab."""
    import jax

    jax.config.update("jax_enable_x64", True)
    known, found = functions(), {}
    for case in ("slab value", "slab jacfwd", "slab gradient"):
        function, argument = known[case]
        call, times = jax.jit(function), []
        jax.block_until_ready(call(argument))
        for _ in range(200):
            begin = time.perf_counter()
            jax.block_until_ready(call(argument))
            times.append(time.perf_counter() - begin)
        found[case] = sorted(times)[len(times) // 2]
    return found


def main(chosen):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_COMPILATION_CACHE")}
    for case, bar in BARS.items():
        if chosen and case not in chosen:
            continue
        command = [sys.executable, __file__, "--one", case]
        out = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=environment
        ).stdout
        print(f"{case:<24} {float(out):6.1f} s  (bar {bar:g} s)", flush=True)
    if not chosen or "run" in chosen:
        found = run_times()
        for case, label in (("slab jacfwd", "slab jacfwd"), ("slab gradient", "slab reverse")):
            times = found[case] / found["slab value"]
            print(
                f"{label:<24} {times:6.1f} times the value, {found['slab value']:.1e} s  (bar "
                f"{RUN_BARS[label]:g})"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(compile_one(sys.argv[2]))
    else:
        main(sys.argv[1:])
