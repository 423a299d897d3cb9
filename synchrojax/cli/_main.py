"""The command line. Errors go to standard error in one line, exit status 2."""

import contextlib
import io
import json
import os
import pathlib
import sys

import numpy as np

from synchrojax import __version__
from synchrojax.cli._arguments import (
    Parser,
    interval,
    joined,
    named,
    nearest,
    positive,
    spacing,
    utf8,
    value,
    value_or_range,
    widths,
)
from synchrojax.core import COMMON, UNITS, write_text
from synchrojax.families import FAMILIES, SampledFamily
from synchrojax.model import MODEL_FILE
from synchrojax.tables.listing import Listing, as_csv, as_json, as_lines
from synchrojax.tables.network_space import CONVENTIONS, SPACES

_EXAMPLES = {
    "coefficients": (
        "synchrojax coefficients --nu 230GHz --B 30G --n-e 1e6 --theta 60deg --theta-e 10 --compare",
        "synchrojax coefficients --nu 1GHz:1THz:50 --B 3mT --n-e 1e12m^-3 --theta 1 --theta-e 10 --out spectrum.csv",
    ),
    "models": ("synchrojax models --json",),
    "generate": (
        "synchrojax generate kappa --n 65536 --out kappa_table",
        "synchrojax generate --command 'mycode {s} {theta} {p}' --input s=log:10:1e6 --input theta=lin:2deg:89deg"
        " --input p=lin:1.5:5 --n 100000 --out rawtable",
    ),
    "import-neurosynchro": ("synchrojax import-neurosynchro trained --out mymodel.safetensors",),
    "init": ("synchrojax init mymodel --convention neurosynchro --input p=lin",),
    "summarize": ("synchrojax summarize rawtable --plot marginals.png",),
    "transform": ("synchrojax transform rawtable mymodel --out transformed",),
    "lock": ("synchrojax lock transformed mymodel",),
    "train": (
        "synchrojax train transformed mymodel --html report.html",
        "synchrojax train kappa_table --distribution kappa --out kappa.safetensors",
    ),
    "validate": (
        "synchrojax validate thermal --n 50 --no-slopes",
        "synchrojax validate mymodel --table heldout --html heldout.html",
    ),
    "test-ray": (
        "synchrojax test-ray thermal",
        "synchrojax test-ray myray.txt --model thermal --frequency 230GHz",
    ),
}


def _spread(name, value):
    if not isinstance(value, tuple):
        return np.array([value])
    low, high, count = value
    if name == "theta":
        return np.linspace(low, high, count)
    if not (low > 0.0 and high > 0.0):
        raise ValueError(f"--{name.replace('_', '-')}: a range is logarithmic and needs both ends above zero")
    return np.geomspace(low, high, count)


def _inputs(options):
    """(model or None, distribution, {input: value or range}) of what was asked for; refuses names that do not fit."""
    import synchrojax
    from synchrojax.distributions import get_distribution

    # the integrals need no network
    if options.exact and options.model not in synchrojax.models() and not pathlib.Path(options.model).suffix:
        model, distribution = None, get_distribution(options.model)
    else:
        model = synchrojax.load(options.model, out_of_domain=options.out_of_domain)
        distribution = model.family.distribution
    inputs = (*COMMON, *distribution.parameters)
    given = {n: getattr(options, n) for n in UNITS if getattr(options, n) is not None} | dict(options.param)

    def option(name):
        return f"--{name.replace('_', '-')}" if name in UNITS else f"--param {name}=X"

    missing = [option(n) for n in inputs if n not in given and n not in distribution.defaults]
    unknown = [option(n) for n in given if n not in inputs]
    if missing or unknown:
        wrong = [f"missing {', '.join(missing)}"] * bool(missing)
        wrong += [f"not for this model: {', '.join(unknown)}"] * bool(unknown)
        raise ValueError(f"{options.model}: {'; '.join(wrong)}")
    return model, distribution, {n: given.get(n, distribution.defaults.get(n)) for n in inputs}


def _check_files(options, given):
    """Refuse before anything is computed what ``--plot`` and ``--out`` cannot do."""
    if options.out and options.out.suffix.lower() != ".csv":
        raise ValueError(f"--out {options.out}: a table of coefficients ends in .csv")
    for path in (options.out, options.plot):
        if path and not path.parent.is_dir():
            raise ValueError(f"{path}: there is no directory {path.parent}")
    if options.plot:
        from synchrojax.validate.report import check_picture

        check_picture(options.plot)
        varied = [n for n, v in given.items() if isinstance(v, tuple) and v[2] > 1 and v[0] != v[1]]
        if len(varied) != 1:
            what = f"{' and '.join(varied)} vary" if varied else "nothing varies"
            form = "give a range to one input and single values to the others, such as --nu 1e9:1e12:50"
            raise ValueError(f"--plot draws the coefficients against one input, but {what}: {form}")


def _coefficients(options):
    import jax

    jax.config.update("jax_enable_x64", True)
    import synchrojax

    model, distribution, given = _inputs(options)
    _check_files(options, given)
    grid = np.meshgrid(*(_spread(n, v) for n, v in given.items()), indexing="ij")
    params = dict(zip(given, (a.ravel() for a in grid), strict=True))
    network = exact = None
    if not options.exact:
        network = np.asarray(jax.jit(model.coefficients)(params))
    if options.exact or options.compare:
        exact = np.asarray(synchrojax.exact.coefficients(distribution, params))
    flags = np.zeros(grid[0].size, int) if model is None else np.asarray(model.flags(params))
    found = Listing(params, exact if options.exact else network, exact if options.compare else None, flags)

    if options.json:
        print(as_json(found))
    elif not options.out:
        print(*as_lines(found), sep="\n")
    if options.out:
        write_text(options.out, as_csv(found))
        print(f"{options.out}: {found.count} point{'s' * (found.count != 1)}", file=sys.stderr)
    if options.plot:
        from synchrojax.core import save_figure
        from synchrojax.validate.report import curves

        save_figure(curves(found, title=options.model), options.plot)
        print(f"{options.plot}: coefficients against {found.varied[0]}", file=sys.stderr)
    if flags.any() and not options.exact:
        _explain_flags(model, int(np.bitwise_or.reduce(flags)), int(np.count_nonzero(flags)), len(flags))


def _explain_flags(model, bits, count, total):
    names = [*(f"{k} outside {lo:g}..{hi:g}" for k, (lo, hi) in model.domain.items()), "unphysical input"]
    what = "; ".join(n for i, n in enumerate(names) if bits >> i & 1)
    print(f"synchrojax: note: {count} of {total} points flagged: {what}", file=sys.stderr)


def _models(options):
    import synchrojax

    for name in synchrojax.models():
        model = synchrojax.load(name)
        if options.json:
            print(json.dumps({"name": name, "inputs": model.inputs, "domain": model.domain, "report": model.report}))
            continue
        print(f"{name}: takes {', '.join(model.inputs)}")
        for key, (low, high) in model.domain.items():
            print(f"    {key:<12} {low:g} .. {high:g}")


def _init(options):
    from synchrojax.tables import configuration, table_files

    inputs = dict(options.input)
    if options.table:
        kinds = table_files.header_of(table_files.parts(options.table)[0])
        inputs = {n: kind for n, kind in kinds.items() if kind in ("log", "lin")} | inputs
    path = configuration.path_of(options.dir)
    if path.exists():
        raise configuration.ConfigError(f"{path} exists already; edit it, or choose another directory")
    config = configuration.default(inputs, convention=options.convention, space=options.space)
    options.dir.mkdir(parents=True, exist_ok=True)
    configuration.write(options.dir, config)
    print(f"{path}: inputs {', '.join(m.name for m in config.params)}; space {config.space}")


def _summarize(options):
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


def _transform(options):
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


def _lock(options):
    from synchrojax.tables import configuration
    from synchrojax.train import lock

    rejected = lock(options.table, options.dir, overwrite=options.overwrite, drop=options.drop, quiet=options.quiet)
    for m in configuration.read(options.dir).mappings:
        lost = f"; {rejected[m.name]} values left out: not {m.domain}" * bool(rejected[m.name])
        print(f"{m.name:<15} {m.maptype:<10} {m.phys_min:>12.5g} .. {m.phys_max:<12.5g}{lost}")
    print(f"{configuration.path_of(options.dir)}: locked")


def _generate(options):
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
            inputs, n = dict(options.input), options.n
            out, failed = generate_command(options.command, inputs, n, options.out, timeout=options.timeout, **common)
        else:
            margin = 1.2 if options.margin is None else options.margin
            out = generate(options.distribution, options.n, options.out, margin=margin, **common)
    print(f"{out}: {options.n - failed} rows in {len(parts(out))} files")
    if failed:
        print(f"  {failed} points failed; they and the reasons are in {out / FAILED}")


def _import_neurosynchro(options):
    from synchrojax.model import import_neurosynchro

    out = options.out or options.dir / MODEL_FILE
    import_neurosynchro(options.dir, out)
    import synchrojax

    print(f"{out}: {synchrojax.load(out)}")


def _settings(kind, options):
    """The options of a training, those that were not given at their defaults."""
    given = {k: getattr(options, k, None) for k in kind._fields}
    return kind(**{k: v for k, v in given.items() if v is not None})


def _train_table(options):
    import synchrojax
    from synchrojax.model import read_model
    from synchrojax.train import TableOptions, held_out, train_table
    from synchrojax.validate import summary, validate_table

    wrong = [k for k in ("widths", "iterations") if getattr(options, k) is not None]
    if wrong or options.distribution:
        names = ", ".join(f"--{k}" for k in [*wrong, *["distribution"] * bool(options.distribution)])
        raise ValueError(f"{names}: the configuration in {options.config} says this")
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
    clipped = f"; {training['clipped']} clipped, listed in {out.with_suffix('.clipped.csv')}" * bool(
        training["clipped"]
    )
    print(f"{out}: trained on {training['rows']} rows in {training['seconds']} s{clipped}")
    print("on the rows left out for testing, relative errors:")
    checked = validate_table(
        synchrojax.load(out), options.table, max_rows=settings.max_rows, seed=settings.seed, rows=held_out(settings)
    )
    text = _report(checked, summary(checked))
    print(text)
    _pictures(checked, out, text, directory=options.pictures, page=options.html)


def _report(checked, result, last=None):
    """Relative errors, and mean squared errors in network space where there are some."""
    from synchrojax.validate import report_lines

    lines = list(report_lines(result))
    if checked.network_mse:
        lines.append("mean squared error in network space")
        lines += [f"  {name:<24}{square:>11.2e}" for name, square in checked.network_mse.items()]
    return "\n".join([*lines, last] if last else lines)


def _pictures(checked, model, text, *, directory=None, page=None):
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
            save_figure(figure, directory / (f"{name}.png" if kind == "errors" else f"{name}.{kind}.png"))
    if page:
        write_html(page, name, text, pictures)


def _train(options):
    import jax

    jax.config.update("jax_enable_x64", True)
    if options.config:
        return _train_table(options)
    if not options.out:
        raise ValueError("needs --out MODEL.safetensors, or the directory of a configuration (see `synchrojax init`)")
    only = [k for k in ("members", "max_rows", "pictures", "html") if getattr(options, k)]
    if only:
        raise ValueError(f"--{only[0].replace('_', '-')} goes with the directory of a configuration")
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
    print(f"{out}: trained on {report['training']['rows']} rows in {report['training']['seconds']} s")
    for head, scores in report["network_space_error"].items():
        worst = ", ".join(f"{k} {max(scores[k]):.1e}" for k in ("median", "p99", "max"))
        print(f"  {head}: {worst} on held-out rows")


def _span(seconds):
    return f"{round(seconds, -1):.0f} s" if seconds < 95.0 else f"{seconds / 60.0:.0f} minutes"


def _validate(options):
    import jax

    jax.config.update("jax_enable_x64", True)
    import synchrojax
    from synchrojax.validate import cost, duration, integrals_of, summary, validate, validate_table

    model = synchrojax.load(options.model)
    if options.table:
        if options.against:
            raise ValueError("--against goes with the exact integrals, not with --table")
        checked = validate_table(
            model, options.table, convention=options.convention, max_rows=options.n, quiet=options.quiet
        )
        price = cost(model, points=checked.points)
    elif options.convention:
        raise ValueError("--convention is that of a --table")
    else:
        slopes = not options.no_slopes
        if not options.quiet and isinstance(model.family, SampledFamily):
            count, seconds = (
                integrals_of(model.family, options.n, slopes=slopes),
                duration(model.family, options.n, slopes=slopes),
            )
            print(
                f"validate: {count} exact integrals for {options.n} points, roughly {_span(seconds)}", file=sys.stderr
            )
        checked = validate(model, n=options.n, seed=options.seed, slopes=slopes, quiet=options.quiet)
        price = cost(model)
    result = summary(checked, fits=options.against == "fits")
    last = (
        f"{price['weights']} weights; {price['ns_per_point_float32']} ns/point in float32, "
        f"{price['ns_per_point_float64']} in float64, a million points at once"
    )
    if options.json:
        squares = {"network_space_mse": checked.network_mse} if checked.network_mse else {}
        print(json.dumps({"cost": price, **result, **squares}))
    text = _report(checked, result, last)
    if not options.json:
        print(text)
    _pictures(checked, options.model, text, directory=options.out, page=options.html)


def _test_ray(options):
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
    named = {n: {k: float(v) for k, v in getattr(found, n)._asdict().items()} for n in ("exact", "model", "depths")}
    print(json.dumps({**plain, **named, "difference": dict(zip("IQUV", map(float, found.difference), strict=True))}))


def _parser():
    parser = Parser(
        prog="synchrojax",
        description="Polarized synchrotron coefficients: networks, exact integrals, training.",
        epilog="synchrojax VERB --help describes a verb, with an example.",
    )
    parser.add_argument("--version", action="version", version=f"synchrojax {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")

    def verb(name, action, text):
        example = "\n  ".join(_EXAMPLES[name])
        sub = verbs.add_parser(name, help=text, description=text, epilog=f"example:\n  {example}")
        sub.set_defaults(action=action)
        return sub

    sub = verb("coefficients", _coefficients, "Print the eight transfer coefficients with their units.")
    sub.add_argument(
        "--model",
        default="thermal",
        help="packaged model or path of a .safetensors file; with --exact any distribution (default: thermal)",
    )
    for name, unit in UNITS.items():
        needed = "" if name in COMMON else "; if the model takes it"
        sub.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            type=value_or_range(name),
            metavar="X|LOW:HIGH:N",
            help=f"[{unit}]{needed}",
        )
    sub.add_argument(
        "--param",
        type=named,
        action="append",
        default=[],
        metavar="NAME=X",
        help="a parameter of a distribution of your own; X or LOW:HIGH:N",
    )
    which = sub.add_mutually_exclusive_group()
    which.add_argument("--exact", action="store_true", help="the integrals instead of the network")
    which.add_argument("--compare", action="store_true", help="network, exact and their relative difference")
    sub.add_argument("--json", action="store_true", help="machine-readable; NaN as null")
    sub.add_argument("--out", type=pathlib.Path, metavar="FILE.csv", help="write the table there, not to the screen")
    sub.add_argument(
        "--plot",
        type=pathlib.Path,
        metavar="FILE",
        help="draw the eight against the one input with a range (.png, .pdf)",
    )
    sub.add_argument(
        "--out-of-domain", choices=("clip", "extrapolate", "nan"), default="clip", help="outside the trained box"
    )

    sub = verb("models", _models, "List the packaged models, their inputs and their domains.")
    sub.add_argument("--json", action="store_true", help="one JSON object per line, with the accuracy report")

    sub = verb("generate", _generate, "Make a table of exact coefficients over the box of a distribution.")
    sub.add_argument("distribution", nargs="?", help=", ".join(FAMILIES))
    sub.add_argument("--n", type=positive, default=100_000, help="rows (default 100000)")
    sub.add_argument("--out", type=pathlib.Path, required=True, help="directory; a stopped run resumes there")
    sub.add_argument("--seed", type=int, default=0, help="of the scrambled Sobol sequence (default 0)")
    sub.add_argument("--margin", type=float, help="factor by which the box is widened (default 1.2)")
    sub.add_argument("--workers", type=positive, help="processes on this machine (default: threads of one)")
    sub.add_argument("--dask", metavar="ADDRESS", help="scheduler of a Dask cluster, such as tcp://host:8786")
    sub.add_argument(
        "--command",
        type=utf8,
        metavar="'PROG {s} {theta} ...'",
        help="a program of yours instead of a distribution: run for each point, it prints j_I j_Q j_V "
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
        "--format", choices=("txt", "txt.gz", "parquet"), default="txt.gz", help="of the parts (default txt.gz)"
    )
    sub.add_argument("--quiet", action="store_true", help="no progress")

    sub = verb("import-neurosynchro", _import_neurosynchro, "Turn a trained neurosynchro directory into a model.")
    sub.add_argument("dir", type=pathlib.Path, metavar="DIR", help="with nn_config.toml and the .h5 files of Keras")
    sub.add_argument("--out", type=pathlib.Path, metavar="MODEL.safetensors", help="default: model.safetensors in DIR")

    sub = verb("init", _init, "Write a configuration for a table of your own, in the words of neurosynchro.")
    sub.add_argument("dir", type=pathlib.Path, metavar="DIR", help="directory of the model to be")
    sub.add_argument(
        "--convention",
        choices=CONVENTIONS,
        required=True,
        help="signs in the table: neurosynchro (Rimphony) has rho_Q > 0 where j_Q < 0, synchrojax both negative",
    )
    sub.add_argument(
        "--space", choices=tuple(SPACES), default="synchrojax", help="what is learned (default synchrojax)"
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

    sub = verb("summarize", _summarize, "Show what is in a table: columns, ranges, NaN, signs, duplicates, density.")
    sub.add_argument("table", type=pathlib.Path, help="directory or file: .txt, .txt.gz, .parquet")
    sub.add_argument("--plot", type=pathlib.Path, metavar="FILE.png", help="histograms of all columns")
    sub.add_argument("--json", action="store_true", help="machine-readable")
    sub.add_argument("--quiet", action="store_true", help="no progress")

    sub = verb("transform", _transform, "Bring a table of the eight coefficients into network space; filter its rows.")
    sub.add_argument("table", type=pathlib.Path, help="directory or file with the eight at nu = 1 Hz, n_e = 1 cm^-3")
    sub.add_argument("dir", type=pathlib.Path, metavar="DIR", help="of the configuration")
    sub.add_argument("--out", type=pathlib.Path, required=True, metavar="TABLE", help="new directory")
    sub.add_argument("--quiet", action="store_true", help="no progress")

    sub = verb("lock", _lock, "Store bounds, means and deviations of a transformed table in the configuration.")
    sub.add_argument("table", type=pathlib.Path, help="directory made by transform")
    sub.add_argument("dir", type=pathlib.Path, metavar="DIR", help="of the configuration")
    sub.add_argument("--overwrite", action="store_true", help="compute the numbers of a locked one again")
    sub.add_argument("--drop", action="store_true", help="leave out values that their mapping cannot take")
    sub.add_argument("--quiet", action="store_true", help="no progress")

    sub = verb("train", _train, "Train the networks on a table; the same command resumes a stopped run.")
    sub.add_argument("table", type=pathlib.Path, help="directory made by generate, or by transform if DIR is given")
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
    sub.add_argument("--members", type=positive, help="with DIR: networks in an ensemble (default 1)")
    sub.add_argument("--pictures", type=pathlib.Path, metavar="PICTURES", help="with DIR: directory (needs matplotlib)")
    sub.add_argument("--html", type=pathlib.Path, metavar="FILE.html", help="with DIR: report with all pictures in it")
    sub.add_argument("--max-rows", type=positive, help="with DIR: rows drawn from a larger table (default 2000000)")
    sub.add_argument("--widths", type=widths, help="hidden layers, e.g. 32,32 (default: as shipped)")
    sub.add_argument("--iterations", type=positive, help="of Levenberg-Marquardt, per network (default 170)")
    sub.add_argument("--patience", type=positive, help="iterations without progress before stopping (default 40)")
    sub.add_argument("--seed", type=int, help="of split, start and batches (default 0)")
    sub.add_argument("--overwrite", action="store_true", help="replace an existing model")
    sub.add_argument("--quiet", action="store_true", help="no progress")

    sub = verb("validate", _validate, "Compare a model with the exact integrals on a fresh sample.")
    sub.add_argument("model", help="packaged model or path of a .safetensors file")
    sub.add_argument("--n", type=positive, default=5000, help="points (default 5000)")
    sub.add_argument("--seed", type=int, default=12345, help="of the sample (default 12345)")
    sub.add_argument("--against", choices=("fits",), help="show the published fitting formulas too, where they exist")
    sub.add_argument("--table", type=pathlib.Path, help="compare with this table instead, at most --n rows of it")
    sub.add_argument("--convention", choices=CONVENTIONS, help="of --table (default: that of the model)")
    sub.add_argument("--out", type=pathlib.Path, help="directory for the table and pictures (needs matplotlib)")
    sub.add_argument("--html", type=pathlib.Path, metavar="FILE.html", help="report with all pictures in it")
    sub.add_argument("--no-slopes", action="store_true", help="values only (13 times fewer integrals)")
    sub.add_argument("--json", action="store_true", help="machine-readable")
    sub.add_argument("--quiet", action="store_true", help="no progress")

    sub = verb("test-ray", _test_ray, "Solve one ray with exact coefficients from a table and with those of a model.")
    sub.add_argument(
        "ray",
        type=pathlib.Path,
        metavar="FILE",
        help="table with d, psi, n_e, time_ms as (meta) columns; or a packaged ray, named as the models",
    )
    sub.add_argument("--model", help="packaged model or path (default: that of the packaged ray)")
    sub.add_argument(
        "--frequency", type=value("frequency"), metavar="HZ", help="[Hz] observed (default: nu(meta) in the table)"
    )
    sub.add_argument("--convention", choices=CONVENTIONS, help="sign of rho_Q in the table (default: synchrojax)")
    sub.add_argument("--json", action="store_true", help="machine-readable")
    return parser, verbs.choices


def _options(words):
    """The parsed command line; None where help was all there was to say."""
    parser, verbs = _parser()
    words = joined(words)
    if not words:
        parser.print_help()
        return None
    chosen = next((w for w in words if not w.startswith("-")), None)
    if chosen is not None and chosen not in verbs:
        near = nearest(chosen, verbs)
        hint = f"did you mean {near}? " * bool(near)
        parser.error(f"invalid choice of a verb: {chosen!r}; {hint}verbs: {', '.join(verbs)}")
    before, after = (words, []) if chosen is None else (words[: words.index(chosen)], words[words.index(chosen) + 1 :])
    parser.refuse_unknown(before)
    if chosen is None:
        parser.parse_args(words)
        parser.error("needs a verb; see synchrojax --help")
    verbs[chosen].refuse_unknown(after)
    return parser.parse_args(words)


def _run(words):
    options = _options(words)
    if options is None:
        return 0
    try:
        options.action(options)
    except BrokenPipeError:
        raise
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        print(f"synchrojax: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("synchrojax: stopped; generate and train resume with the same command", file=sys.stderr)
        return 130
    return 0


def main(arguments=None):
    """Entry point; returns the exit status: 0, 2 for an error, 130 when interrupted, 141 when nobody reads on."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name in Greek must not die of the locale
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        try:
            return _run(sys.argv[1:] if arguments is None else list(arguments))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):  # what is left goes nowhere when the interpreter ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell reports a program that the signal ended
