"""``train``."""

import pathlib
from collections.abc import Callable
from typing import Any

from synchrojax.cli._arguments import positive, seed, widths
from synchrojax.cli._validate import check_places, pictures, report
from synchrojax.families import FAMILIES


def _settings(kind: Any, options: Any) -> Any:
    """The options of a training, those that were not given at their defaults."""
    given = {k: getattr(options, k, None) for k in kind._fields}
    return kind(**{k: v for k, v in given.items() if v is not None})


def _train_table(options: Any) -> None:
    import synchrojax
    from synchrojax.model import read_model
    from synchrojax.train import TableOptions, held_out, train_table
    from synchrojax.validate import summary, validate_table

    wrong = [k for k in ("widths", "iterations") if getattr(options, k) is not None]
    if wrong or options.distribution:
        names = ", ".join(
            f"--{k}" for k in [*wrong, *["distribution"] * bool(options.distribution)]
        )
        raise ValueError(f"{names}: the configuration in {options.config} says this")
    check_places({"--pictures": options.pictures}, {"--html": options.html})
    settings = _settings(TableOptions, options)
    out = train_table(
        options.table,
        options.config,
        out=options.out,
        options=settings,
        overwrite=options.overwrite,
        quiet=options.quiet,
    )
    training = read_model(out)[2]["training"]
    clipped = (
        f"; {training['clipped']} clipped, listed in {out.with_suffix('.clipped.csv')}"
        * bool(training["clipped"])
    )
    print(f"{out}: trained on {training['rows']} rows in {training['seconds']} s{clipped}")
    print("on the rows left out for testing, relative errors:")
    checked = validate_table(
        synchrojax.load(out),
        options.table,
        max_rows=settings.max_rows,
        seed=settings.seed,
        rows=held_out(settings),
    )
    text = report(checked, summary(checked))
    print(text)
    pictures(checked, out, text, directory=options.pictures, page=options.html)


def _train(options: Any) -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    if options.config:
        return _train_table(options)
    if not options.out:
        raise ValueError(
            "needs --out MODEL.safetensors, or the directory of a configuration (see `synchrojax "
            "init`)"
        )
    only = [k for k in ("members", "max_rows", "pictures", "html") if getattr(options, k)]
    if only:
        raise ValueError(
            f"--{only[0].replace('_', '-')} goes with the directory of a configuration"
        )
    from synchrojax.train import Options, train

    out = train(
        options.table,
        options.out,
        distribution=options.distribution or "thermal",
        options=_settings(Options, options),
        overwrite=options.overwrite,
        quiet=options.quiet,
    )
    from synchrojax.model import read_model

    report = read_model(out)[2]
    print(
        f"{out}: trained on {report['training']['rows']} rows in {report['training']['seconds']} s"
    )
    for head, scores in report["network_space_error"].items():
        worst = ", ".join(f"{k} {max(scores[k]):.1e}" for k in ("median", "p99", "max"))
        print(f"  {head}: {worst} on held-out rows")


def add(verb: Callable) -> None:
    """Add the arguments; ``verb``: see ``Parser.add_verbs``."""
    sub = verb(
        "train",
        _train,
        "Train the networks on a table; the same command resumes a stopped run.",
        "synchrojax train transformed mymodel --html report.html",
        "synchrojax train kappa_table --distribution kappa --out kappa.safetensors",
    )
    sub.add_argument(
        "table",
        type=pathlib.Path,
        help="directory made by generate, or by transform if DIR is given",
    )
    sub.add_argument(
        "config",
        type=pathlib.Path,
        nargs="?",
        metavar="DIR",
        help="of a locked nn_config.toml, for a table of your own",
    )
    sub.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="MODEL.safetensors",
        help="model file to write (with DIR: model.safetensors there)",
    )
    sub.add_argument("--distribution", help=f"{', '.join(FAMILIES)} (default thermal)")
    sub.add_argument(
        "--members", type=positive, help="with DIR: networks in an ensemble (default 1)"
    )
    sub.add_argument(
        "--pictures",
        type=pathlib.Path,
        metavar="PICTURES",
        help="with DIR: directory (needs matplotlib)",
    )
    sub.add_argument(
        "--html",
        type=pathlib.Path,
        metavar="FILE.html",
        help="with DIR: report with all pictures in it",
    )
    sub.add_argument(
        "--max-rows",
        type=positive,
        help="with DIR: rows drawn from a larger table (default 2000000)",
    )
    sub.add_argument(
        "--widths", type=widths, help="hidden layers, e.g. 32,32 (default: as shipped)"
    )
    sub.add_argument(
        "--iterations", type=positive, help="of Levenberg-Marquardt, per network (default 170)"
    )
    sub.add_argument(
        "--patience", type=positive, help="iterations without progress before stopping (default 40)"
    )
    sub.add_argument("--seed", type=seed, help="of split, start and batches (default 0)")
    sub.add_argument("--overwrite", action="store_true", help="replace an existing model")
    sub.add_argument("--quiet", action="store_true", help="no progress")
