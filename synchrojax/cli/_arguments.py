"""What the words of a command line may be, and a parser that suggests the nearest word."""

import argparse
import difflib
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from synchrojax.core import QuantityError, ends, quantity, quantity_or_range, whole_number


class Parser(argparse.ArgumentParser):
    """Errors in one line, exit status 2; no abbreviations.

    A later option could give them another meaning.
    """

    verbs: Mapping[str, Any]
    """Name -> parser of the verbs below, none where there are only arguments."""

    def __init__(self, **kwargs: Any) -> None:
        self.verbs = {}
        super().__init__(
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **kwargs,
        )

    def add_verbs(self) -> Callable:
        """What adds verbs below this parser.

        ``verb(name, action, text, *examples)`` gives the parser of one that ``action(options)``
        runs, or, without examples, of a group of verbs.
        """
        verbs = self.add_subparsers(dest="verb", metavar="VERB")
        self.verbs = verbs.choices

        def verb(name: str, action: Callable | None, text: str, *examples: str) -> Any:
            listed = "\n  ".join(examples)
            further = f"{self.prog} {name} VERB --help describes a verb, with an example."
            epilog = f"example:\n  {listed}" if examples else further
            sub = verbs.add_parser(name, help=text, description=text, epilog=epilog)
            sub.set_defaults(action=action)
            return sub

        return verb

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: error: {' '.join(message.split())}", file=sys.stderr)
        raise SystemExit(2)

    def refuse_unknown(self, words: Sequence[str]) -> None:
        """Stop with a suggestion at the first word that looks like an option and is none."""
        known = [o for action in self._actions for o in action.option_strings]
        for word in words:
            option = word.partition("=")[0]
            if option == "--":
                return
            if re.fullmatch(r"--?[^\W\d]\S*", option) and option not in known:
                near = nearest(option, known)
                self.error(
                    f"unknown option {option}; "
                    + (f"did you mean {near}?" if near else f"see {self.prog} -h")
                )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that ``word`` may stand for, or None.

    Dashes and case do not count; it may be cut short or misspelt.
    """

    def plain(text: str) -> str:
        return re.sub(r"[-_]", "", text).lower()

    by_plain: dict = {}
    for k in known:
        by_plain.setdefault(plain(k), k)
    if plain(word) in by_plain:
        return by_plain[plain(word)]
    longer = [k for p, k in by_plain.items() if plain(word) and p.startswith(plain(word))]
    close = longer[:1] if len(longer) == 1 else difflib.get_close_matches(plain(word), by_plain, 1)
    return by_plain.get(close[0], close[0]) if close else None


def joined(words: Sequence[str]) -> list[str]:
    """``--theta -60deg`` as ``--theta=-60deg``: argparse takes the value for an option."""
    out: list[str] = []
    for word in words:
        if out and re.match(r"-[\d.]", word) and re.fullmatch(r"--[a-zA-Z][\w-]*", out[-1]):
            out[-1] += f"={word}"
        else:
            out.append(word)
    return out


def utf8(text: str) -> str:
    """``text`` from the command line as UTF-8, whatever the locale says."""
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        return text


def _physical(function: Callable, name: str) -> Callable[[str], Any]:
    """A type for argparse whose messages are those of ``_quantities``."""

    def convert(text: str) -> Any:
        try:
            return function(utf8(text), name)
        except QuantityError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def value(name: str) -> Callable[[str], Any]:
    """The type of one value of the parameter ``name``, with or without its unit."""
    return _physical(quantity, name)


def value_or_range(name: str) -> Callable[[str], Any]:
    """The type of a value of the parameter ``name`` or of low:high:count."""
    return _physical(quantity_or_range, name)


def _split(text: str, form: str, parts: int | None = None) -> tuple[str, str]:
    """(name, what it is) of NAME=WHAT, which has so many parts between colons."""
    name, equals, rest = utf8(text).partition("=")
    if not (equals and name.isidentifier()) or (parts and len(rest.split(":")) != parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
    return name, rest


def named(text: str) -> tuple[str, Any]:
    """NAME=X or NAME=LOW:HIGH:N."""
    name, rest = _split(text, "NAME=X or NAME=LOW:HIGH:N")
    return name, value_or_range(name)(rest)


def label(text: str) -> tuple[str, float]:
    """LABEL=VALUE."""
    name, rest = _split(text, "LABEL=VALUE")
    return name, value(name)(rest)


def bounds(text: str) -> tuple[str, tuple[float, float]]:
    """LABEL=LOW:HIGH."""
    name, rest = _split(text, "LABEL=LOW:HIGH", 2)
    low, high = rest.split(":")
    return name, _physical(lambda _, name: ends(low, high, name), name)(rest)


def prior(text: str) -> tuple[str, tuple[float, float]]:
    """LABEL=MEAN:SIGMA."""
    name, rest = _split(text, "LABEL=MEAN:SIGMA", 2)
    mean, sigma = map(value(name), rest.split(":"))
    return name, (mean, sigma)


def interval(text: str) -> tuple[str, tuple[str, float, float]]:
    """NAME=log:LOW:HIGH or NAME=lin:LOW:HIGH."""
    name, _, rest = utf8(text).partition("=")
    spacing, *pair = rest.split(":")
    try:
        low, high = ends(pair[0], pair[1], name) if len(pair) == 2 else (0.0, 0.0)
    except QuantityError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    if not name.isidentifier() or spacing not in ("log", "lin") or not low < high:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=log:LOW:HIGH or NAME=lin:LOW:HIGH")
    return name, (spacing, low, high)


def spacing(text: str) -> tuple[str, str]:
    """NAME=log or NAME=lin."""
    name, _, kind = utf8(text).partition("=")
    if not name.isidentifier() or kind not in ("log", "lin"):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=log or NAME=lin")
    return name, kind


def widths(text: str) -> tuple[int, ...]:
    """Layer widths such as 32,32."""
    try:
        found = tuple(int(w) for w in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of layer widths such as 32,32")
    return found


def once(pairs: Iterable[tuple[str, Any]], option: str) -> dict[str, Any]:
    """{name: value} of an option that may be repeated. ValueError where a name is given twice."""
    found: dict[str, Any] = {}
    for name, given in pairs:
        if name in found:
            raise ValueError(f"{option} gives {name} twice: leave one out")
        found[name] = given
    return found


def seed(text: str) -> int:
    """A whole number that random numbers may start from."""
    return _integer(text, 0, "a whole number from 0 up")


def positive(text: str) -> int:
    """A whole number above zero."""
    return _integer(text, 1, "a positive whole number")


def _integer(text: str, least: int, what: str) -> int:
    try:
        return whole_number(int(text) if text.isdigit() else float(text), least)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}") from None


def require_directory(path: pathlib.Path | None) -> None:
    """Refuse a file in a directory that is not there, before anything is computed for it."""
    if path and not path.parent.is_dir():
        raise ValueError(f"{path}: there is no directory {path.parent}")
