"""``generate``: tables of exact coefficients, or of a program of the user's."""

import contextlib
import pathlib
from collections.abc import Callable
from typing import Any

from synchrojax.cli._arguments import interval, once, positive, seed, utf8, value
from synchrojax.families import FAMILIES


def _generate(options: Any) -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    from synchrojax.generate import FAILED, dask_executor, generate, generate_command
    from synchrojax.tables.table_files import parts

    if bool(options.distribution) == bool(options.command):
        raise ValueError("needs a distribution, or --command with its --input ranges")
    if options.dask and options.workers:
        raise ValueError("--workers and --dask exclude each other")
    if options.command and options.margin is not None:
        raise ValueError("--margin goes with a distribution; --input gives the ranges of --command")
    if options.input and not options.command:
        raise ValueError("--input goes with --command")
    with contextlib.ExitStack() as stack:
        executor = stack.enter_context(dask_executor(options.dask)) if options.dask else None
        common = {
            "seed": options.seed,
            "suffix": f".{options.format}",
            "quiet": options.quiet,
            "executor": executor,
            "workers": options.workers,
        }
        failed = 0
        if options.command:
            inputs, n = once(options.input, "--input"), options.n
            out, failed = generate_command(
                options.command, inputs, n, options.out, timeout=options.timeout, **common
            )
        else:
            margin = 1.2 if options.margin is None else options.margin
            out = generate(options.distribution, options.n, options.out, margin=margin, **common)
    print(f"{out}: {options.n - failed} rows in {len(parts(out))} files")
    if failed:
        print(f"  {failed} points failed; they and the reasons are in {out / FAILED}")


def add(verb: Callable) -> None:
    """Add the arguments; ``verb``: see ``Parser.add_verbs``."""
    sub = verb(
        "generate",
        _generate,
        "Make a table of exact coefficients over the box of a distribution.",
        "synchrojax generate kappa --n 65536 --out kappa_table",
        "synchrojax generate --command 'mycode {s} {theta} {p}' --input s=log:10:1e6 --input "
        "theta=lin:2deg:89deg --input p=lin:1.5:5 --n 100000 --out rawtable",
    )
    sub.add_argument("distribution", nargs="?", help=", ".join(FAMILIES))
    sub.add_argument("--n", type=positive, default=100_000, help="rows (default 100000)")
    sub.add_argument(
        "--out", type=pathlib.Path, required=True, help="directory; a stopped run resumes there"
    )
    sub.add_argument(
        "--seed", type=seed, default=0, help="of the scrambled Sobol sequence (default 0)"
    )
    sub.add_argument(
        "--margin", type=float, help="factor by which the box is widened (default 1.2)"
    )
    sub.add_argument(
        "--workers", type=positive, help="processes on this machine (default: threads of one)"
    )
    sub.add_argument(
        "--dask", metavar="ADDRESS", help="scheduler of a Dask cluster, such as tcp://host:8786"
    )
    sub.add_argument(
        "--command",
        type=utf8,
        metavar="'PROG {s} {theta} ...'",
        help="a program of yours instead of a distribution: run for each point, it prints j_I j_Q "
        "j_V "
        "alpha_I alpha_Q alpha_V rho_Q rho_V at nu = 1 Hz and n_e = 1 cm^-3",
    )
    sub.add_argument(
        "--input",
        type=interval,
        action="append",
        default=[],
        metavar="NAME=log|lin:LOW:HIGH",
        help="range of an input of --command; s and theta [rad] are needed",
    )
    sub.add_argument(
        "--timeout",
        type=value("timeout"),
        default=60.0,
        metavar="SECONDS",
        help="for each run of --command (default 60)",
    )
    sub.add_argument(
        "--format",
        choices=("txt", "txt.gz", "parquet"),
        default="txt.gz",
        help="of the parts (default txt.gz)",
    )
    sub.add_argument("--quiet", action="store_true", help="no progress")
