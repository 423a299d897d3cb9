"""``coefficients`` and ``models``: what the packaged and the user's models say."""

import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from synchrojax.cli._arguments import named, once, require_directory, value_or_range
from synchrojax.core import COMMON, UNITS, read_text, write_text
from synchrojax.distributions import Spectra, checked_spectrum
from synchrojax.tables.listing import Listing, as_csv, as_json, as_lines

# N is a row of numbers
_OPTIONS = tuple(name for name in UNITS if name != "N")


def _spread(name: str, value: float | tuple[float, float, int]) -> Float[np.ndarray, " points"]:
    if not isinstance(value, tuple):
        return np.array([value])
    low, high, count = value
    if name == "theta":
        return np.linspace(low, high, count)
    if not (low > 0.0 and high > 0.0):
        raise ValueError(
            f"--{name.replace('_', '-')}: a range is logarithmic and needs both ends above zero"
        )
    return np.geomspace(low, high, count)


def _electrons(path: pathlib.Path) -> dict[str, Float[np.ndarray, " k"]]:
    """gamma and N of a text file: two columns, by commas or blanks; # begins a comment.

    "-": of standard input. A first line with names is passed over.
    """
    wanted = "expected text with two columns of numbers, gamma and N"
    if str(path) == "-":
        text = sys.stdin.read()
    elif path.is_dir():
        raise ValueError(f"{path}: is a directory; {wanted}")
    elif not path.exists():
        raise ValueError(f"{path}: no such file")
    else:
        try:
            text = read_text(path)
        except (OSError, UnicodeDecodeError):
            raise ValueError(f"{path}: cannot be read as text; {wanted}") from None
    lines = [line.partition("#")[0].replace(",", " ").split() for line in text.splitlines()]
    rows = [words for words in lines if words]
    if rows and [word.strip('"').lower() for word in rows[0]] == ["gamma", "n"]:
        del rows[0]
    try:
        values = np.array([[float(word) for word in words] for words in rows])
    except ValueError:
        values = np.zeros(0)
    if values.ndim != 2 or values.shape[1] != 2:
        raise ValueError(f"{path}: {wanted}")
    try:
        gamma, n = checked_spectrum(*values.T)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return {"gamma": np.asarray(gamma), "N": np.asarray(n)}


def _inputs(options: Any) -> tuple[Any, Any, dict[str, Any]]:
    """(model or None, distribution, {input: value or range}) of what was asked for.

    Refuses names that do not fit.
    """
    import synchrojax
    from synchrojax.distributions import get_distribution

    if options.exact and options.out_of_domain:
        raise ValueError(
            f"--out-of-domain {options.out_of_domain} is for networks: --exact has no trained box"
        )
    # the integrals need no network
    if (
        options.exact
        and options.model not in synchrojax.models()
        and not pathlib.Path(options.model).suffix
    ):
        model, distribution = None, get_distribution(options.model)
    else:
        model = synchrojax.load(options.model, out_of_domain=options.out_of_domain or "clip")
        distribution = model.family.distribution
    inputs = (*COMMON, *distribution.parameters)
    on_grid = isinstance(distribution, Spectra)
    if on_grid:
        inputs = COMMON
        if not options.electrons:
            raise ValueError(
                f"{options.model}: missing --electrons FILE, gamma and N in two columns"
            )
    elif options.electrons:
        raise ValueError(f"{options.model}: --electrons is for --model tabulated")

    def option(name: str) -> str:
        return f"--{name.replace('_', '-')}" if name in _OPTIONS else f"--param {name}=X"

    given = {n: getattr(options, n) for n in _OPTIONS if getattr(options, n) is not None}
    for name, value in once(options.param, "--param").items():
        if name in given:
            raise ValueError(f"{option(name)} and --param {name}=X both give {name}: leave one out")
        given[name] = value
    without = {"n_e"} if on_grid and not options.exact and not options.compare else set()
    missing = [
        option(n)
        for n in inputs
        if n not in given and n not in distribution.defaults and n not in without
    ]
    unknown = [option(n) for n in given if n not in inputs]
    if missing or unknown:
        why = " (--exact and --compare normalise N to it)" * ("--n-e" in missing and on_grid)
        wrong = [f"missing {', '.join(missing)}{why}"] * bool(missing)
        wrong += [f"not for this model: {', '.join(unknown)}"] * bool(unknown)
        raise ValueError(f"{options.model}: {'; '.join(wrong)}")
    found = {n: given.get(n, distribution.defaults.get(n)) for n in inputs}
    return model, distribution, {n: v for n, v in found.items() if v is not None}


def _check_files(options: Any, given: dict[str, Any]) -> None:
    """Refuse before anything is computed what ``--plot`` and ``--out`` cannot do."""
    if options.out and options.out.suffix.lower() != ".csv":
        raise ValueError(f"--out {options.out}: a table of coefficients ends in .csv")
    for path in (options.out, options.plot):
        require_directory(path)
    if options.plot:
        from synchrojax.validate.report import check_picture

        check_picture(options.plot)
        varied = [n for n, v in given.items() if isinstance(v, tuple) and v[2] > 1 and v[0] != v[1]]
        if len(varied) != 1:
            what = f"{' and '.join(varied)} vary" if varied else "nothing varies"
            form = (
                "give a range to one input and single values to the others, such as --nu "
                "1e9:1e12:50"
            )
            raise ValueError(f"--plot draws the coefficients against one input, but {what}: {form}")


def _coefficients(options: Any) -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    import synchrojax

    model, distribution, given = _inputs(options)
    _check_files(options, given)
    grid = np.meshgrid(*(_spread(n, v) for n, v in given.items()), indexing="ij")
    params = dict(zip(given, (a.ravel() for a in grid), strict=True))
    everything = params | (_electrons(options.electrons) if options.electrons else {})
    shown: np.ndarray
    exact = None
    if not options.exact:
        shown = np.asarray(jax.jit(model.coefficients)(everything))
    if options.exact or options.compare:
        exact = np.asarray(synchrojax.exact.coefficients(distribution, everything))
        shown = exact if options.exact else shown
    flags = np.zeros(grid[0].size, int) if model is None else np.asarray(model.flags(everything))
    unphysical = flags == 0 if model is None else flags >> len(model.domain) + 1 & 1
    if np.all(unphysical) and np.all(np.isnan(shown)):
        told = ", ".join(f"{n} = {np.unique(v)[0]:g}" for n, v in params.items())
        raise ValueError(f"{options.model}: no electron gas has such values: {told}")
    found = Listing(params, shown, exact if options.compare else None, flags)

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
        _explain_flags(
            model,
            int(np.bitwise_or.reduce(flags)),
            int(np.count_nonzero(flags)),
            len(flags),
            float(np.max(np.abs(params["theta"]))),
        )


def _explain_flags(model: Any, bits: int, count: int, total: int, widest: float) -> None:
    """``widest``: the largest angle theta [rad] that was given."""
    from synchrojax.families import is_packaged

    ends = {k: f"{k} outside {lo:g}..{hi:g}" for k, (lo, hi) in model.domain.items()}
    ends["theta"] += " rad"
    if widest > 2.0 * np.pi:
        ends["theta"] += f" ({widest:g} looks like degrees: write {widest:g}deg)"
    if is_packaged(model.family) and model.distribution.startswith("powerlaw"):
        ends["p"] += " (p > 0 with a finite gamma_max: --model tabulated, or --exact)"
    beyond = "beyond what the dtype holds, 0 or at its limit"
    names = [*ends.values(), beyond, "unphysical input"]
    what = "; ".join(n for i, n in enumerate(names) if bits >> i & 1)
    print(f"synchrojax: note: {count} of {total} points flagged: {what}", file=sys.stderr)


def _models(options: Any) -> None:
    import synchrojax

    for name in synchrojax.models():
        model = synchrojax.load(name)
        if options.json:
            print(
                json.dumps(
                    {
                        "name": name,
                        "inputs": model.inputs,
                        "domain": model.domain,
                        "report": model.report,
                    }
                )
            )
            continue
        print(f"{name}: takes {', '.join(model.inputs)}")
        for key, (low, high) in model.domain.items():
            print(f"    {key:<12} {low:g} .. {high:g}")


def _add_coefficients(verb: Callable) -> None:
    sub = verb(
        "coefficients",
        _coefficients,
        "Print the eight transfer coefficients with their units.",
        "synchrojax coefficients --nu 230GHz --B 30G --n-e 1e6 --theta 60deg --theta-e 10 "
        "--compare",
        "synchrojax coefficients --nu 1GHz:1THz:50 --B 3mT --n-e 1e12m^-3 --theta 1 --theta-e 10 "
        "--out spectrum.csv",
    )
    sub.add_argument(
        "--model",
        default="thermal",
        help="packaged model or path of a .safetensors file; with --exact any distribution "
        "(default: thermal)",
    )
    for name in _OPTIONS:
        unit = UNITS[name]
        needed = "" if name in COMMON else "; if the model takes it"
        sub.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            type=value_or_range(name),
            metavar="X|LOW:HIGH:N",
            help=f"[{unit}]{needed}",
        )
    sub.add_argument(
        "--electrons",
        type=pathlib.Path,
        metavar="FILE",
        help="for --model tabulated: gamma and N = dN/dgamma in two columns, N in cm^-3 or, with "
        "--n-e, in any unit; - for standard input",
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
    which.add_argument(
        "--compare", action="store_true", help="network, exact and their relative difference"
    )
    sub.add_argument("--json", action="store_true", help="machine-readable; NaN as null")
    sub.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="FILE.csv",
        help="write the table there, not to the screen",
    )
    sub.add_argument(
        "--plot",
        type=pathlib.Path,
        metavar="FILE",
        help="draw the eight against the one input with a range (.png, .pdf)",
    )
    sub.add_argument(
        "--out-of-domain",
        choices=("clip", "extrapolate", "nan"),
        help="outside the trained box (default clip)",
    )


def _add_models(verb: Callable) -> None:
    sub = verb(
        "models",
        _models,
        "List the packaged models, their inputs and their domains.",
        "synchrojax models --json",
    )
    sub.add_argument(
        "--json", action="store_true", help="one JSON object per line, with the accuracy report"
    )


def add(verb: Callable) -> None:
    """Add the arguments; ``verb``: see ``Parser.add_verbs``."""
    _add_coefficients(verb)
    _add_models(verb)
