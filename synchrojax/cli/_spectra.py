"""The verbs of ``spectra``: ``fit``."""

import csv
import io
import json
import pathlib
from collections.abc import Callable
from typing import Any

from synchrojax.cli._arguments import bounds, label, once, positive, prior, require_directory, seed
from synchrojax.core import write_text

_SOURCES = ("slab", "sphere", "cone")


def _fit(options: Any) -> int:
    import jax

    jax.config.update("jax_enable_x64", True)
    import synchrojax
    from synchrojax import spectra

    if options.out is not None:
        if options.out.suffix not in (".json", ".csv"):
            raise ValueError(f"--out {options.out}: results are written as .json or .csv")
        require_directory(options.out)
    data = spectra.read(options.data)
    source = getattr(spectra, options.source)(synchrojax.load(options.model))
    fit = spectra.fit(
        source,
        data,
        once(options.free, "--free"),
        fixed=once(options.fixed, "--fixed"),
        priors=once(options.prior, "--prior"),
        starts=options.starts,
        seed=options.seed,
    )
    found = fit.as_dict()
    print(json.dumps(found) if options.json else fit.table())
    if options.out is not None:
        as_json = options.out.suffix == ".json"
        write_text(options.out, json.dumps(found, indent=1) + "\n" if as_json else _csv(fit))
    return 0 if fit.ok else 3


def _csv(fit: Any) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", "value", "error", "unit"])
    for n in fit.names:
        writer.writerow([n, repr(fit.values[n]), repr(fit.errors[n]), fit.source.labels[n]])
    return text.getvalue()


def add(verb: Callable) -> None:
    """Add the arguments; ``verb``: see ``Parser.add_verbs``."""
    group = verb("spectra", None, "Stokes spectra of sources: fits of observed ones.")
    sub = group.add_verbs()(
        "fit",
        _fit,
        "Fit a source to an observed Stokes spectrum: labels with errors, chi2, and what speaks "
        "against the fit, with exit status 3 if anything does.",
        "synchrojax spectra fit observed.csv --model thermal --free B=1:1e3 --free n_e=1e4:1e8 "
        "--free theta=0.1:3 --free theta_e=1:100 --free psi=0:3.1416 --fixed length=1e13 "
        "--fixed solid_angle=1e-18",
    )
    sub.add_argument(
        "data",
        type=pathlib.Path,
        metavar="FILE",
        help=".csv, .ecsv, .fits or .npz with the columns nu, I, I_err and any of Q, U, V; their "
        "units as in 'nu [GHz]' and 'I [mJy]'; mask and upper",
    )
    sub.add_argument("--source", choices=_SOURCES, default="slab", help="(default: slab)")
    sub.add_argument("--model", required=True, help="packaged model or path: the electrons")
    for option, kind, form, text in (
        ("--free", bounds, "LABEL=LOW:HIGH", "bounds of a free label"),
        ("--fixed", label, "LABEL=VALUE", "a label that is known"),
        ("--prior", prior, "LABEL=MEAN:SIGMA", "a normal prior of a free label"),
    ):
        sub.add_argument(
            option,
            type=kind,
            action="append",
            default=[],
            metavar=form,
            help=f"{text}, once for each",
        )
    sub.add_argument("--starts", type=positive, default=32, metavar="N", help="(default: 32)")
    sub.add_argument("--seed", type=seed, default=0, help="of the starts (default: 0)")
    sub.add_argument(
        "--out", type=pathlib.Path, metavar="FILE", help="write the result as .json or .csv"
    )
    sub.add_argument("--json", action="store_true", help="machine-readable")
