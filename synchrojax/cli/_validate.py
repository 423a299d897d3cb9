"""``validate``, and the reports that ``train`` prints too."""

import json
import os
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from synchrojax.cli._arguments import positive, seed
from synchrojax.core import PathLike, write_text
from synchrojax.families import SampledFamily
from synchrojax.model import MODEL_FILE
from synchrojax.tables import CONVENTIONS


def report(checked: Any, result: Mapping[str, Any], last: str | None = None) -> str:
    """Relative errors, and mean squared errors in network space where there are some."""
    from synchrojax.validate import report_lines

    lines = list(report_lines(result))
    if checked.network_mse:
        lines.append("mean squared error in network space")
        lines += [f"  {name:<24}{square:>11.2e}" for name, square in checked.network_mse.items()]
    return "\n".join([*lines, last] if last else lines)


def check_places(
    directories: Mapping[str, pathlib.Path | None], files: Mapping[str, pathlib.Path | None]
) -> None:
    """Refuse {option: path} that cannot be written, before anything is computed for them."""
    from synchrojax.core import existing_place, new_figure

    given = {o: p for o, p in {**directories, **files}.items() if p is not None}
    if given:
        new_figure(1.0, 1.0)
    for option, path in given.items():
        if option in files and path.is_dir():
            raise ValueError(f"{option} {path}: is a directory; give the name of a file")
        there = existing_place(path if option in directories else path.parent)
        if not there.is_dir():
            raise ValueError(f"{option} {path}: {there} is a file, where a directory is needed")
        if not os.access(there, os.W_OK | os.X_OK):
            raise ValueError(f"{option} {path}: {there} cannot be written to")


def pictures(
    checked: Any,
    model: PathLike,
    text: str,
    *,
    directory: pathlib.Path | None = None,
    page: PathLike | None = None,
) -> None:
    """What ``--out`` and ``--html`` ask for."""
    if not (directory or page):
        return
    from synchrojax.core import save_figure
    from synchrojax.validate.report import figures, write_html

    path = pathlib.Path(model)
    path = path / MODEL_FILE if path.is_dir() else path
    name = path.stem if path.name != MODEL_FILE else path.resolve().parent.name
    loss = path.with_suffix(".loss.csv")
    pictures = figures(checked, title=name, loss=loss)
    if directory:
        directory.mkdir(parents=True, exist_ok=True)
        write_text(directory / f"{name}.txt", text + "\n")
        for kind, figure in pictures.items():
            save_figure(
                figure, directory / (f"{name}.png" if kind == "errors" else f"{name}.{kind}.png")
            )
    if page:
        write_html(page, name, text, pictures)


def _span(seconds: float) -> str:
    return f"{round(seconds, -1):.0f} s" if seconds < 95.0 else f"{seconds / 60.0:.0f} minutes"


def _validate(options: Any) -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    import synchrojax
    from synchrojax.distributions import Absent
    from synchrojax.validate import cost, duration, integrals_of, summary, validate, validate_table

    check_places({"--out": options.out}, {"--html": options.html})
    model = synchrojax.load(options.model)
    if options.table:
        if options.against:
            raise ValueError("--against goes with the exact integrals, not with --table")
        checked = validate_table(
            model,
            options.table,
            convention=options.convention,
            max_rows=options.n,
            quiet=options.quiet,
        )
        price = cost(model, points=checked.points)
    elif options.convention:
        raise ValueError("--convention is that of a --table")
    else:
        slopes = not options.no_slopes
        family = model.family if isinstance(model.family, SampledFamily) else None
        if family and isinstance(family.distribution, Absent):
            raise ValueError(
                f"{options.model}: a model file does not hold the f of a distribution of your own: "
                "compare it with a table by --table, or in Python by "
                "synchrojax.validate.validate(model, family=...)"
            )
        if not options.quiet and family:
            count, seconds = (
                integrals_of(family, options.n, slopes=slopes),
                duration(family, options.n, slopes=slopes),
            )
            print(
                f"validate: {count} exact integrals for {options.n} points, roughly "
                f"{_span(seconds)}",
                file=sys.stderr,
            )
        checked = validate(
            model, n=options.n, seed=options.seed, slopes=slopes, quiet=options.quiet
        )
        price = cost(model)
    result = summary(checked, fits=options.against == "fits")
    last = (
        f"{price['weights']} weights; {price['ns_per_point_float32']} ns/point in float32, "
        f"{price['ns_per_point_float64']} in float64, a million points at once"
    )
    if options.json:
        squares = {"network_space_mse": checked.network_mse} if checked.network_mse else {}
        print(json.dumps({"cost": price, **result, **squares}))
    text = report(checked, result, last)
    if not options.json:
        print(text)
    pictures(checked, options.model, text, directory=options.out, page=options.html)


def add(verb: Callable) -> None:
    """Add the arguments; ``verb``: see ``Parser.add_verbs``."""
    sub = verb(
        "validate",
        _validate,
        "Compare a model with the exact integrals on a fresh sample.",
        "synchrojax validate thermal --n 50 --no-slopes",
        "synchrojax validate mymodel --table heldout --html heldout.html",
    )
    sub.add_argument("model", help="packaged model or path of a .safetensors file")
    sub.add_argument("--n", type=positive, default=5000, help="points (default 5000)")
    sub.add_argument("--seed", type=seed, default=12345, help="of the sample (default 12345)")
    sub.add_argument(
        "--against",
        choices=("fits",),
        help="show the published fitting formulas too, where they exist",
    )
    sub.add_argument(
        "--table", type=pathlib.Path, help="compare with this table instead, at most --n rows of it"
    )
    sub.add_argument(
        "--convention", choices=CONVENTIONS, help="of --table (default: that of the model)"
    )
    sub.add_argument(
        "--out", type=pathlib.Path, help="directory for the table and pictures (needs matplotlib)"
    )
    sub.add_argument(
        "--html", type=pathlib.Path, metavar="FILE.html", help="report with all pictures in it"
    )
    sub.add_argument(
        "--no-slopes", action="store_true", help="values only (13 times fewer integrals)"
    )
    sub.add_argument("--json", action="store_true", help="machine-readable")
    sub.add_argument("--quiet", action="store_true", help="no progress")
