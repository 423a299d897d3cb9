"""Cost of the shipped models beside the published fits: ``python tests/cost.py [MODEL ...]`` prints
the tables.

Nanoseconds per point, best of several calls, for 1, 1,000 and a million points, in float32 and
float64, values and values with gradients, on one core and on two. The fits are jitted and go
through the same blocks; a call that would take longer than 20 s is left out.

``python tests/cost.py --plot notebooks/cost.png`` draws them against the number of points, in
float32 on two cores (minutes for each model, nearly all of it compilation; needs matplotlib).
"""

import argparse
import json
import os
import subprocess
import sys
import time

SIZES = (1, 1_000, 1_000_000)
DECADES = tuple(10**k for k in range(7))  # of the plot


def measure(cores, names, numbers, precisions):
    """Rows (name, what, precision, gradient, {size: ns per point}) on the first ``cores`` cores."""
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))
    import jax
    import jax.numpy as jnp

    import synchrojax
    from synchrojax.core import GYRO
    from synchrojax.generate import draw
    from synchrojax.model import blockwise
    from synchrojax.validate import _fits

    def sizes(function, columns):
        result = {}
        for n in numbers:
            if n * result.get(1_000, 0.0) > 20e9:
                result[n] = float("nan")
                continue
            given = tuple(jnp.resize(c, n) for c in columns)
            jax.block_until_ready(function(*given))
            count, times, start = (5 if n == numbers[-1] else 200), [], time.perf_counter()
            while len(times) < count and time.perf_counter() - start < 3.0:
                begin = time.perf_counter()
                jax.block_until_ready(function(*given))
                times.append(time.perf_counter() - begin)
            result[n] = 1e9 * min(times) / n
        return result

    rows = []
    for precision in precisions:
        with jax.enable_x64(precision == "float64"):
            for name in names or synchrojax.models():
                model = synchrojax.load(name)
                points = {
                    k: jnp.asarray(v, precision)
                    for k, v in draw(name, 4096, seed=1, margin=1.0).items()
                }
                names_of, grid = ("theta", *model.family.parameters), {}
                if model.family.spectral:  # a power law on 64 nodes, for all points
                    gamma = jnp.geomspace(1.0, 1e6, 64, dtype=precision)
                    names_of, grid = ("theta",), {"gamma": gamma, "N": gamma**-2.5}
                own = [points[k] for k in names_of]
                call_of = model_call(model, names_of, grid)
                calls = {"network": (call_of, [GYRO * points["s"], *own])}
                if name in _fits.FITS:
                    fit = _fits.FITS[name].formula
                    calls["fit"] = (
                        lambda *x, fit=fit: blockwise(lambda x: fit(*x), x, 16384),
                        [points["s"], *own],
                    )
                for what, (call, columns) in calls.items():

                    def pulled(*x, call=call):
                        value, pull = jax.vjp(call, *x)
                        return value, pull(jax.tree.map(jnp.ones_like, value))

                    for gradient, function in ((False, call), (True, pulled)):
                        ns = sizes(jax.jit(function), columns)
                        rows.append((name, what, precision, gradient, ns))
                        print(*rows[-1], file=sys.stderr, flush=True)
    assert all(v > 0.0 or v != v for row in rows for v in row[-1].values())
    return rows


def model_call(model, names, grid):
    def call(nu, *own):
        given = {"nu": nu, "B": 1.0, "n_e": 1.0, **grid, **dict(zip(names, own, strict=True))}
        return tuple(model.coefficients(given))

    return call


def measured(cores, names, numbers, precisions):
    """The rows of ``measure`` from a process of its own."""
    given = json.dumps([cores, names, numbers, precisions])
    command = [sys.executable, __file__, "--one", given]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def print_tables(names):
    for cores in (1, 2):
        rows = measured(cores, names, SIZES, ("float32", "float64"))
        print(f"\n{cores} core{'s' if cores > 1 else ''}\n")
        print(
            "| model | | "
            + " | ".join(f"{p}, N = {n:,}" for p in ("float32", "float64") for n in SIZES)
            + " |"
        )
        print("|---|---|" + "---|" * 2 * len(SIZES))
        table = {}
        for name, what, _, gradient, ns in rows:
            table.setdefault((name, what + (", with gradient" if gradient else "")), []).extend(
                ns.values()
            )
        for (name, what), values in table.items():
            print(
                f"| {name} | {what} | "
                + " | ".join("-" if v != v else f"{v:,.0f}" for v in values)
                + " |"
            )


def plot(names, path):
    from matplotlib import colormaps

    from synchrojax.core import new_figure, save_figure

    rows = measured(2, names, DECADES, ("float32",))
    colors = dict(
        zip(dict.fromkeys(row[0] for row in rows), colormaps["tab10"].colors, strict=False)
    )
    figure = new_figure(10.5, 3.6)
    axes = figure.subplots(1, 2, sharey=True)
    for ax, gradient in zip(axes, (False, True), strict=True):
        for name, what, _, with_gradient, ns in rows:
            if with_gradient == gradient:
                style = "o-" if what == "network" else "s:"
                numbers = [float(n) for n in ns]
                ax.loglog(
                    numbers, ns.values(), style, color=colors[name], label=f"{name}, {what}", ms=4
                )
        ax.set(xlabel="points in a call", title="value and gradient" if gradient else "value")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("ns per point")
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside right upper", fontsize=7)
    save_figure(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="names of packaged models; all of them")
    parser.add_argument("--plot", metavar="FILE", help="draw the cost there instead")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:  # the process for so many cores
        print(json.dumps(measure(*json.loads(chosen.one))))
    elif chosen.plot:
        plot(chosen.models, chosen.plot)
    else:
        print_tables(chosen.models)


if __name__ == "__main__":
    main()
