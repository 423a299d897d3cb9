"""The command line. Errors go to standard error in one line, exit status 2."""

import argparse
import contextlib
import json
import os
import pathlib
import sys

import numpy as np

from synchrojax._families import FAMILIES, distribution_of
from synchrojax._files import write_text
from synchrojax._params import COMMON, UNITS
from synchrojax._space import CONVENTIONS, SPACES
from synchrojax._weights import MODEL_FILE

_COEFFICIENT_UNITS = {"j": "erg s^-1 cm^-3 Hz^-1 sr^-1", "a": "cm^-1", "r": "cm^-1"}


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        print(f"{self.prog}: error: {message}", file=sys.stderr)
        raise SystemExit(2)


def _values(text):
    """A number, or low:high:count (spaced later)."""
    parts = text.split(":")
    try:
        if len(parts) == 1:
            return float(text)
        low, high, count = float(parts[0]), float(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor low:high:count") from None
    if len(parts) != 3 or count < 1 or not (np.isfinite(low) and np.isfinite(high)):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor low:high:count")
    return low, high, count


def _named(text):
    """NAME=X or NAME=LOW:HIGH:N."""
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=X or NAME=LOW:HIGH:N")
    return name, _values(value)


def _range(text):
    """NAME=log:LOW:HIGH or NAME=lin:LOW:HIGH."""
    name, _, rest = text.partition("=")
    spacing, *ends = rest.split(":")
    try:
        low, high = (float(v) for v in ends)
    except ValueError:
        low = high = float("nan")
    if not name.isidentifier() or spacing not in ("log", "lin") or not low < high:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=log:LOW:HIGH or NAME=lin:LOW:HIGH")
    return name, (spacing, low, high)


def _spacing(text):
    """NAME=log or NAME=lin."""
    name, _, spacing = text.partition("=")
    if not name.isidentifier() or spacing not in ("log", "lin"):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=log or NAME=lin")
    return name, spacing


def _widths(text):
    try:
        widths = tuple(int(w) for w in text.split(","))
    except ValueError:
        widths = ()
    if not widths or min(widths) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of layer widths such as 32,32")
    return widths


def _spread(name, value):
    if not isinstance(value, tuple):
        return np.array([value])
    low, high, count = value
    if name == "theta":
        return np.linspace(low, high, count)
    if not (low > 0.0 and high > 0.0):
        raise ValueError(f"--{name.replace('_', '-')}: a range is logarithmic and needs both ends above zero")
    return np.geomspace(low, high, count)


def _unit(coefficient):
    return _COEFFICIENT_UNITS[coefficient[0]]


def _coefficients(options):
    import jax

    jax.config.update("jax_enable_x64", True)
    import synchrojax
    from synchrojax.distributions import get_distribution

    # the integrals need no network
    model = distribution = None
    if options.exact and options.model not in synchrojax.models() and not pathlib.Path(options.model).suffix:
        distribution = get_distribution(options.model)
    else:
        model = synchrojax.load(options.model, out_of_domain=options.out_of_domain)
        distribution = distribution_of(model.family)
    inputs = (*COMMON, *distribution.parameters)
    given = {n: getattr(options, n) for n in UNITS if getattr(options, n) is not None} | dict(options.param)

    def option(name):
        return f"--{name.replace('_', '-')}" if name in UNITS else f"--param {name}=X"

    missing = [option(n) for n in inputs if n not in given and n not in distribution.defaults]
    unknown = [option(n) for n in given if n not in inputs]
    if missing or unknown:
        wrong = [f"missing {', '.join(missing)}"] * bool(missing) + [
            f"not for this model: {', '.join(unknown)}"
        ] * bool(unknown)
        raise ValueError(f"{options.model}: {'; '.join(wrong)}")
    axes = [_spread(n, given.get(n, distribution.defaults.get(n))) for n in inputs]
    grid = [a.ravel() for a in np.meshgrid(*axes, indexing="ij")]
    params = dict(zip(inputs, grid, strict=True))
    network = exact = None
    if not options.exact:
        network = np.asarray(jax.jit(model.coefficients)(params))
    if options.exact or options.compare:
        exact = np.asarray(synchrojax.exact.coefficients(distribution, params))
    flags = np.zeros(len(grid[0]), int) if model is None else np.asarray(model.flags(params))
    shown = exact if options.exact else network
    names = synchrojax.Coefficients._fields

    if options.json:
        rows = []
        for i in range(len(grid[0])):
            row = {n: float(v[i]) for n, v in params.items()}
            row |= {n: _finite(shown[k, i]) for k, n in enumerate(names)}
            if options.compare:
                row["exact"] = {n: _finite(exact[k, i]) for k, n in enumerate(names)}
            row["flags"] = int(flags[i])
            rows.append(row)
        print(json.dumps(rows[0] if len(rows) == 1 else rows))
    elif len(grid[0]) == 1:
        for n, v in params.items():
            print(f"{n:<10} {v[0]:<12.6g} {UNITS.get(n, '')}".rstrip())
        print()
        if options.compare:
            print(f"{'':<8} {'network':>19} {'exact':>19} {'difference':>11}")
        for k, n in enumerate(names):
            line = f"{n:<8} {shown[k, 0]:>19.10e}"
            if options.compare:
                difference = abs(network[k, 0] / exact[k, 0] - 1.0) if exact[k, 0] != 0.0 else abs(network[k, 0])
                line += f" {exact[k, 0]:>19.10e} {difference:>11.1e}"
            print(f"{line}  {_unit(n)}")
    else:
        print("\t".join([*params, *names, "flags"]))
        for i in range(len(grid[0])):
            print("\t".join([f"{v[i]:.10g}" for v in grid] + [f"{v:.10e}" for v in shown[:, i]] + [str(flags[i])]))
    if flags.any() and not options.exact:
        _explain_flags(model, int(np.bitwise_or.reduce(flags)), int(np.count_nonzero(flags)), len(flags))


def _finite(value):
    return float(value) if np.isfinite(value) else None


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
    from synchrojax import _config, _table

    inputs = dict(options.input)
    if options.table:
        kinds = _table.header_of(_table.parts(options.table)[0])
        inputs = {n: kind for n, kind in kinds.items() if kind in ("log", "lin")} | inputs
    path = _config.path_of(options.dir)
    if path.exists():
        raise _config.ConfigError(f"{path} exists already; edit it, or choose another directory")
    config = _config.default(inputs, convention=options.convention, space=options.space)
    options.dir.mkdir(parents=True, exist_ok=True)
    _config.write(options.dir, config)
    print(f"{path}: inputs {', '.join(m.name for m in config.params)}; space {config.space}")


def _summarize(options):
    from synchrojax.summarize import picture, report_lines, summarize

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
    from synchrojax.transform import REJECTED, transform

    counts, kept = transform(options.table, options.dir, options.out, quiet=options.quiet)
    rejected = sum(counts.values())
    print(f"{options.out}: {kept} rows kept, {rejected} rejected")
    for reason, count in counts.items():
        if count:
            print(f"  {count:>9}  {reason}")
    if rejected:
        print(f"  the rejected rows are in {options.out / REJECTED}")


def _lock(options):
    from synchrojax import _config
    from synchrojax.train_table import lock

    rejected = lock(options.table, options.dir, overwrite=options.overwrite, drop=options.drop, quiet=options.quiet)
    for m in _config.read(options.dir).mappings:
        lost = f"; {rejected[m.name]} values left out: not {m.domain}" * bool(rejected[m.name])
        print(f"{m.name:<15} {m.maptype:<10} {m.phys_min:>12.5g} .. {m.phys_max:<12.5g}{lost}")
    print(f"{_config.path_of(options.dir)}: locked")


def _generate(options):
    import jax

    jax.config.update("jax_enable_x64", True)
    from synchrojax._table import parts
    from synchrojax.generate import FAILED, dask_executor, generate, generate_command

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
    from synchrojax._keras import import_neurosynchro

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
    from synchrojax._weights import read_model
    from synchrojax.train_table import TableOptions, held_out, train_table
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
    from synchrojax._picture import save
    from synchrojax.report import figures, write_html

    path = pathlib.Path(model)
    path = path / MODEL_FILE if path.is_dir() else path
    name = path.stem if path.name != MODEL_FILE else path.resolve().parent.name
    loss = path.with_suffix(".loss.csv")
    pictures = figures(checked, title=name, loss=loss)
    if directory:
        directory.mkdir(parents=True, exist_ok=True)
        write_text(directory / f"{name}.txt", text + "\n")
        for kind, figure in pictures.items():
            save(figure, directory / (f"{name}.png" if kind == "errors" else f"{name}.{kind}.png"))
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
    from synchrojax._weights import read_model

    report = read_model(out)[2]
    print(f"{out}: trained on {report['training']['rows']} rows in {report['training']['seconds']} s")
    for head, scores in report["network_space_error"].items():
        worst = ", ".join(f"{k} {max(scores[k]):.1e}" for k in ("median", "p99", "max"))
        print(f"  {head}: {worst} on held-out rows")


def _validate(options):
    import jax

    jax.config.update("jax_enable_x64", True)
    import synchrojax
    from synchrojax.validate import cost, summary, validate, validate_table

    model = synchrojax.load(options.model)
    if options.table:
        if options.against:
            raise ValueError("--against goes with the exact integrals, not with --table")
        checked = validate_table(model, options.table, convention=options.convention, max_rows=options.n)
        price = cost(model, points=checked.points)
    elif options.convention:
        raise ValueError("--convention is that of a --table")
    else:
        checked = validate(model, n=options.n, seed=options.seed, slopes=not options.no_slopes)
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
    from synchrojax.ray import compare, packaged, read_ray, report_lines

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


def _positive(text):
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return value


def _parser():
    parser = _Parser(
        prog="synchrojax", description="Polarized synchrotron coefficients: networks, exact integrals, training."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name, action, text):
        sub = verbs.add_parser(name, help=text, description=text)
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
            f"--{name.replace('_', '-')}", dest=name, type=_values, metavar="X|LOW:HIGH:N", help=f"[{unit}]{needed}"
        )
    sub.add_argument(
        "--param",
        type=_named,
        action="append",
        default=[],
        metavar="NAME=X",
        help="a parameter of a distribution of your own; X or LOW:HIGH:N",
    )
    which = sub.add_mutually_exclusive_group()
    which.add_argument("--exact", action="store_true", help="the integrals instead of the network")
    which.add_argument("--compare", action="store_true", help="network, exact and their relative difference")
    sub.add_argument("--json", action="store_true", help="machine-readable; NaN as null")
    sub.add_argument(
        "--out-of-domain", choices=("clip", "extrapolate", "nan"), default="clip", help="outside the trained box"
    )

    sub = verb("models", _models, "List the packaged models, their inputs and their domains.")
    sub.add_argument("--json", action="store_true", help="one JSON object per line, with the accuracy report")

    sub = verb("generate", _generate, "Make a table of exact coefficients over the box of a distribution.")
    sub.add_argument("distribution", nargs="?", help=", ".join(FAMILIES))
    sub.add_argument("--n", type=_positive, default=100_000, help="rows (default 100000)")
    sub.add_argument("--out", type=pathlib.Path, required=True, help="directory; a stopped run resumes there")
    sub.add_argument("--seed", type=int, default=0, help="of the scrambled Sobol sequence (default 0)")
    sub.add_argument("--margin", type=float, help="factor by which the box is widened (default 1.2)")
    sub.add_argument("--workers", type=_positive, help="processes on this machine (default: threads of one)")
    sub.add_argument("--dask", metavar="ADDRESS", help="scheduler of a Dask cluster, such as tcp://host:8786")
    sub.add_argument(
        "--command",
        metavar="'PROG {s} {theta} ...'",
        help="a program of yours instead of a distribution: run for each point, it prints j_I j_Q j_V "
        "alpha_I alpha_Q alpha_V rho_Q rho_V at nu = 1 Hz and n_e = 1 cm^-3",
    )
    sub.add_argument(
        "--input",
        type=_range,
        action="append",
        default=[],
        metavar="NAME=log|lin:LOW:HIGH",
        help="range of an input of --command; s and theta [rad] are needed",
    )
    sub.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="for each run of --command (default 60)"
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
        type=_spacing,
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
    sub.add_argument("--members", type=_positive, help="with DIR: networks in an ensemble (default 1)")
    sub.add_argument("--pictures", type=pathlib.Path, metavar="PICTURES", help="with DIR: directory (needs matplotlib)")
    sub.add_argument("--html", type=pathlib.Path, metavar="FILE.html", help="with DIR: report with all pictures in it")
    sub.add_argument("--max-rows", type=_positive, help="with DIR: rows drawn from a larger table (default 2000000)")
    sub.add_argument("--widths", type=_widths, help="hidden layers, e.g. 32,32 (default: as shipped)")
    sub.add_argument("--iterations", type=_positive, help="of Levenberg-Marquardt, per network (default 170)")
    sub.add_argument("--patience", type=_positive, help="iterations without progress before stopping (default 40)")
    sub.add_argument("--seed", type=int, help="of split, start and batches (default 0)")
    sub.add_argument("--overwrite", action="store_true", help="replace an existing model")
    sub.add_argument("--quiet", action="store_true", help="no progress")

    sub = verb("validate", _validate, "Compare a model with the exact integrals on a fresh sample.")
    sub.add_argument("model", help="packaged model or path of a .safetensors file")
    sub.add_argument("--n", type=_positive, default=5000, help="points (default 5000)")
    sub.add_argument("--seed", type=int, default=12345, help="of the sample (default 12345)")
    sub.add_argument("--against", choices=("fits",), help="show the published fitting formulas too, where they exist")
    sub.add_argument("--table", type=pathlib.Path, help="compare with this table instead, at most --n rows of it")
    sub.add_argument("--convention", choices=CONVENTIONS, help="of --table (default: that of the model)")
    sub.add_argument("--out", type=pathlib.Path, help="directory for the table and pictures (needs matplotlib)")
    sub.add_argument("--html", type=pathlib.Path, metavar="FILE.html", help="report with all pictures in it")
    sub.add_argument("--no-slopes", action="store_true", help="values only (13 times fewer integrals)")
    sub.add_argument("--json", action="store_true", help="machine-readable")

    sub = verb("test-ray", _test_ray, "Solve one ray with exact coefficients from a table and with those of a model.")
    sub.add_argument(
        "ray",
        type=pathlib.Path,
        metavar="FILE",
        help="table with d, psi, n_e, time_ms as (meta) columns; or a packaged ray, named as the models",
    )
    sub.add_argument("--model", help="packaged model or path (default: that of the packaged ray)")
    sub.add_argument("--frequency", type=float, metavar="HZ", help="[Hz] observed (default: nu(meta) in the table)")
    sub.add_argument("--convention", choices=CONVENTIONS, help="sign of rho_Q in the table (default: synchrojax)")
    sub.add_argument("--json", action="store_true", help="machine-readable")
    return parser


def main(arguments=None):
    """Entry point; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.action(options)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        print(f"synchrojax: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("synchrojax: stopped; generate and train resume with the same command", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0
