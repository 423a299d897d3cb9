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
    model = synchrojax.load(options.model or str(options.ray))
    ray = read_ray(path, convention=options.convention or "synchrojax")
    found = compare(model, ray, nu=options.frequency)
    if not options.json:
        print(f"{path.name}, model {model.distribution}", *report_lines(found), sep="\n")
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
    """Add the arguments; ``verb``: see ``_main``."""
    sub = verb(
        "test-ray",
        _test_ray,
        "Solve one ray with exact coefficients from a table and with those of a model.",
        "synchrojax test-ray thermal",
        "synchrojax test-ray myray.txt --model thermal --frequency 230GHz",
    )
    sub.add_argument(
        "ray",
        type=pathlib.Path,
        metavar="FILE",
        help="table with d, psi, n_e, time_ms as (meta) columns; or a packaged ray, named as the "
        "models",
    )
    sub.add_argument("--model", help="packaged model or path (default: that of the packaged ray)")
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
