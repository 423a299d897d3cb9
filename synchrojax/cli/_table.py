"""``import-neurosynchro``, ``init``, ``summarize``, ``transform``, ``lock``: before a training."""

import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any

from synchrojax.cli._arguments import once, spacing
from synchrojax.model import MODEL_FILE
from synchrojax.tables import CONVENTIONS, SPACES


def _init(options: Any) -> None:
    from synchrojax.core import make_directory
    from synchrojax.tables import configuration, table_files

    inputs = once(options.input, "--input")
    if options.table:
        kinds = table_files.header_of(table_files.parts(options.table)[0])
        inputs = {n: kind for n, kind in kinds.items() if kind in ("log", "lin")} | inputs
    path = configuration.path_of(options.dir)
    if path.exists():
        raise configuration.ConfigError(
            f"{path} exists already; edit it, or choose another directory"
        )
    config = configuration.default(inputs, convention=options.convention, space=options.space)
    why = "a configuration stands in a directory; choose another"
    make_directory(options.dir, why, configuration.ConfigError)
    configuration.write(options.dir, config)
    print(f"{path}: inputs {', '.join(m.name for m in config.params)}; space {config.space}")


def _summarize(options: Any) -> None:
    from synchrojax.tables import picture, report_lines, summarize

    found = summarize(options.table, quiet=options.quiet)
    if options.json:
        columns = {n: c._asdict() for n, c in found.columns.items()}
        print(json.dumps({**found._asdict(), "columns": columns}))
    else:
        print("\n".join(report_lines(found)))
    if options.plot:
        picture(options.table, options.plot)
        print(f"{options.plot}: marginals", file=sys.stderr)


def _transform(options: Any) -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    from synchrojax.tables import REJECTED, transform

    counts, kept = transform(options.table, options.dir, options.out, quiet=options.quiet)
    rejected = sum(counts.values())
    print(f"{options.out}: {kept} rows kept, {rejected} rejected")
    for reason, count in counts.items():
        if count:
            print(f"  {count:>9}  {reason}")
    if rejected:
        print(f"  the rejected rows are in {options.out / REJECTED}")


def _lock(options: Any) -> None:
    from synchrojax.tables import configuration
    from synchrojax.train import lock

    rejected = lock(
        options.table,
        options.dir,
        overwrite=options.overwrite,
        drop=options.drop,
        quiet=options.quiet,
    )
    for m in configuration.read(options.dir).mappings:
        lost = f"; {rejected[m.name]} values left out: not {m.domain}" * bool(rejected[m.name])
        print(f"{m.name:<15} {m.maptype:<10} {m.phys_min:>12.5g} .. {m.phys_max:<12.5g}{lost}")
    print(f"{configuration.path_of(options.dir)}: locked")


def _import_neurosynchro(options: Any) -> None:
    from synchrojax.model import import_neurosynchro

    out = options.out or options.dir / MODEL_FILE
    import_neurosynchro(options.dir, out)
    import synchrojax

    print(f"{out}: {synchrojax.load(out)}")


def _add_import_neurosynchro(verb: Callable) -> None:
    sub = verb(
        "import-neurosynchro",
        _import_neurosynchro,
        "Turn a trained neurosynchro directory into a model.",
        "synchrojax import-neurosynchro trained --out mymodel.safetensors",
    )
    sub.add_argument(
        "dir",
        type=pathlib.Path,
        metavar="DIR",
        help="with nn_config.toml and the .h5 files of Keras",
    )
    sub.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="MODEL.safetensors",
        help="default: model.safetensors in DIR",
    )


def _add_init(verb: Callable) -> None:
    sub = verb(
        "init",
        _init,
        "Write a configuration for a table of your own, in the words of neurosynchro.",
        "synchrojax init mymodel --convention neurosynchro --input p=lin",
    )
    sub.add_argument("dir", type=pathlib.Path, metavar="DIR", help="directory of the model to be")
    sub.add_argument(
        "--convention",
        choices=CONVENTIONS,
        required=True,
        help="signs in the table: neurosynchro (Rimphony) has rho_Q > 0 where j_Q < 0, synchrojax "
        "both negative",
    )
    sub.add_argument(
        "--space",
        choices=tuple(SPACES),
        default="synchrojax",
        help="what is learned (default synchrojax)",
    )
    sub.add_argument("--table", type=pathlib.Path, help="take the inputs from its header")
    sub.add_argument(
        "--input",
        type=spacing,
        action="append",
        default=[],
        metavar="NAME=log|lin",
        help="an input beside s and theta",
    )


def _add_summarize(verb: Callable) -> None:
    sub = verb(
        "summarize",
        _summarize,
        "Show what is in a table: columns, ranges, NaN, signs, duplicates, density.",
        "synchrojax summarize rawtable --plot marginals.png",
    )
    sub.add_argument("table", type=pathlib.Path, help="directory or file: .txt, .txt.gz, .parquet")
    sub.add_argument(
        "--plot", type=pathlib.Path, metavar="FILE.png", help="histograms of all columns"
    )
    sub.add_argument("--json", action="store_true", help="machine-readable")
    sub.add_argument("--quiet", action="store_true", help="no progress")


def _add_transform(verb: Callable) -> None:
    sub = verb(
        "transform",
        _transform,
        "Bring a table of the eight coefficients into network space; filter its rows.",
        "synchrojax transform rawtable mymodel --out transformed",
    )
    sub.add_argument(
        "table",
        type=pathlib.Path,
        help="directory or file with the eight at nu = 1 Hz, n_e = 1 cm^-3",
    )
    sub.add_argument("dir", type=pathlib.Path, metavar="DIR", help="of the configuration")
    sub.add_argument(
        "--out", type=pathlib.Path, required=True, metavar="TABLE", help="new directory"
    )
    sub.add_argument("--quiet", action="store_true", help="no progress")


def _add_lock(verb: Callable) -> None:
    sub = verb(
        "lock",
        _lock,
        "Store bounds, means and deviations of a transformed table in the configuration.",
        "synchrojax lock transformed mymodel",
    )
    sub.add_argument("table", type=pathlib.Path, help="directory made by transform")
    sub.add_argument("dir", type=pathlib.Path, metavar="DIR", help="of the configuration")
    sub.add_argument(
        "--overwrite", action="store_true", help="compute the numbers of a locked one again"
    )
    sub.add_argument(
        "--drop", action="store_true", help="leave out values that their mapping cannot take"
    )
    sub.add_argument("--quiet", action="store_true", help="no progress")


def add(verb: Callable) -> None:
    """Add the arguments; ``verb``: see ``Parser.add_verbs``."""
    _add_import_neurosynchro(verb)
    _add_init(verb)
    _add_summarize(verb)
    _add_transform(verb)
    _add_lock(verb)
