"""The command line. Errors go to standard error in one line, exit status 2."""

import argparse
import json
import os
import pathlib
import sys

import numpy as np

from synchrojax._families import FAMILIES
from synchrojax._params import COMMON, UNITS

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
        distribution = get_distribution(model.distribution)
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


def _generate(options):
    import jax

    jax.config.update("jax_enable_x64", True)
    from synchrojax._table import parts
    from synchrojax.generate import generate

    out = generate(
        options.distribution,
        options.n,
        options.out,
        seed=options.seed,
        margin=options.margin,
        suffix=options.format if options.format.startswith(".") else f".{options.format}",
        quiet=options.quiet,
    )
    print(f"{out}: {options.n} rows in {len(parts(out))} files")


def _train(options):
    import jax

    jax.config.update("jax_enable_x64", True)
    from synchrojax.train import Options, train

    chosen = {k: getattr(options, k) for k in ("widths", "seed", "iterations", "patience")}
    settings = Options(**{k: v for k, v in chosen.items() if v is not None})
    out = train(
        options.table,
        options.out,
        distribution=options.distribution,
        options=settings,
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
    from synchrojax.validate import cost, picture, report_lines, summary, validate

    model = synchrojax.load(options.model)
    checked = validate(model, n=options.n, seed=options.seed, slopes=not options.no_slopes)
    result = summary(checked, fits=options.against == "fits")
    price = cost(model)
    last = (
        f"{price['weights']} weights; {price['ns_per_point_float32']} ns/point in float32, "
        f"{price['ns_per_point_float64']} in float64, a million points at once"
    )
    text = "\n".join([*report_lines(result), last])
    print(json.dumps({"cost": price, **result}) if options.json else text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        name = pathlib.Path(options.model).stem
        (options.out / f"{name}.txt").write_text(text + "\n")
        picture(checked, options.out / f"{name}.png", title=name)


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
    sub.add_argument("distribution", help=", ".join(FAMILIES))
    sub.add_argument("--n", type=_positive, default=100_000, help="rows (default 100000)")
    sub.add_argument("--out", type=pathlib.Path, required=True, help="directory; a stopped run resumes there")
    sub.add_argument("--seed", type=int, default=0, help="of the scrambled Sobol sequence (default 0)")
    sub.add_argument("--margin", type=float, default=1.2, help="factor by which the box is widened (default 1.2)")
    sub.add_argument(
        "--format", choices=("txt", "txt.gz", "parquet"), default="txt.gz", help="of the parts (default txt.gz)"
    )
    sub.add_argument("--quiet", action="store_true", help="no progress")

    sub = verb("train", _train, "Train the networks on a table; the same command resumes a stopped run.")
    sub.add_argument("table", type=pathlib.Path, help="directory made by generate")
    sub.add_argument("--out", type=pathlib.Path, required=True, metavar="MODEL.safetensors", help="model file to write")
    sub.add_argument("--distribution", default="thermal", help=f"{', '.join(FAMILIES)} (default thermal)")
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
    sub.add_argument("--out", type=pathlib.Path, help="directory for the table and a picture (needs matplotlib)")
    sub.add_argument("--no-slopes", action="store_true", help="values only (13 times fewer integrals)")
    sub.add_argument("--json", action="store_true", help="machine-readable")
    return parser


def main(arguments=None):
    """Entry point; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.action(options)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"synchrojax: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("synchrojax: stopped; generate and train resume with the same command", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0
