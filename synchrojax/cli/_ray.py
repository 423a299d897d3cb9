"""``test-ray``."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

from synchrojax.cli._arguments import value
from synchrojax.tables import CONVENTIONS


def _test_ray(options: Any) -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    import synchrojax
    from synchrojax.transfer.rays import compare, packaged, read_ray, report_lines

    known = packaged()
    path = known.get(str(options.ray), options.ray)
    if path == options.ray and not path.exists():
        raise ValueError(f"{path}: no such file; packaged rays: {', '.join(known)}")
    if not (options.model or path != options.ray):
        raise ValueError("needs --model NAME for a ray of your own")
    models = [synchrojax.load(name) for name in options.model or str(options.ray).split("+")]
    ray = read_ray(path, convention=options.convention or "synchrojax")
    found = compare(models, ray, nu=options.frequency)
    if not options.json:
        names = " + ".join(model.distribution for model in models)
        print(f"{path.name}, model {names}", *report_lines(found), sep="\n")
        return
    plain = {n: getattr(found, n) for n in ("nu", "samples", "outside", "exact_ms", "model_ms")}
    named = {
        n: {k: float(v) for k, v in getattr(found, n)._asdict().items()}
        for n in ("exact", "model", "depths")
    }
    print(
        json.dumps(
            {
                **plain,
                **named,
                "difference": dict(zip("IQUV", map(float, found.difference), strict=True)),
            }
        )
    )


def add(verb: Callable) -> None:
    """Add the arguments; ``verb``: see ``Parser.add_verbs``."""
    sub = verb(
        "test-ray",
        _test_ray,
        "Solve one ray with exact coefficients from a table and with those of a model, or with the "
        "sum of those of several for a mixture of electrons.",
        "synchrojax test-ray thermal+powerlaw",
        "synchrojax test-ray myray.txt --model thermal --frequency 230GHz",
    )
    sub.add_argument(
        "ray",
        type=pathlib.Path,
        metavar="FILE",
        help="table with d, psi, n_e, time_ms as (meta) columns; of a mixture n_e_1, n_e_2, ... "
        "and the number of the population at the end of the names of its parameters; on a grid "
        "gamma_1, gamma_2, ... and N_1, N_2, ...; or a packaged ray, named as its models",
    )
    sub.add_argument(
        "--model",
        action="append",
        help="packaged model or path, once for each population of a mixture, in their order "
        "(default: those of the packaged ray)",
    )
    sub.add_argument(
        "--frequency",
        type=value("frequency"),
        metavar="HZ",
        help="[Hz] observed (default: nu(meta) in the table)",
    )
    sub.add_argument(
        "--convention", choices=CONVENTIONS, help="sign of rho_Q in the table (default: synchrojax)"
    )
    sub.add_argument("--json", action="store_true", help="machine-readable")
