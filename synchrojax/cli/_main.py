"""The parser and the entry point. Errors go to standard error in one line, exit status 2."""

import contextlib
import io
import os
import sys
from collections.abc import Iterable
from typing import Any

from synchrojax import __version__
from synchrojax.cli import _coefficients, _generate, _ray, _spectra, _table, _train, _validate
from synchrojax.cli._arguments import Parser, joined, nearest

_GROUPS = (_coefficients, _generate, _table, _train, _validate, _ray, _spectra)


def _parser() -> Parser:
    parser = Parser(
        prog="synchrojax",
        description="Polarized synchrotron coefficients: networks, exact integrals, training.",
        epilog="synchrojax VERB --help describes a verb, with an example.",
    )
    parser.add_argument("--version", action="version", version=f"synchrojax {__version__}")
    verb = parser.add_verbs()
    for group in _GROUPS:
        group.add(verb)
    return parser


def _options(words: list[str]) -> Any:
    """The parsed command line; None where help was all there was to say."""
    parser = _parser()
    words = joined(words)
    if not words:
        parser.print_help()
        return None
    _check(parser, words)
    return parser.parse_args(words)


def _check(parser: Parser, words: list[str]) -> None:
    """Stop at unknown verbs and options, with the nearest known one."""
    if not parser.verbs:
        parser.refuse_unknown(words)
        return
    chosen = next((w for w in words if not w.startswith("-")), None)
    if chosen is not None and chosen not in parser.verbs:
        near = nearest(chosen, parser.verbs)
        hint = f"did you mean {near}? " * bool(near)
        known = ", ".join(parser.verbs)
        parser.error(f"invalid choice of a verb: {chosen!r}; {hint}verbs: {known}")
    at = len(words) if chosen is None else words.index(chosen)
    parser.refuse_unknown(words[:at])
    if chosen is None:
        parser.parse_args(words)
        parser.error(f"needs a verb; see {parser.prog} --help")
    else:
        _check(parser.verbs[chosen], words[at + 1 :])


def _run(words: list[str]) -> int:
    options = _options(words)
    if options is None:
        return 0
    try:
        return options.action(options) or 0
    except BrokenPipeError:
        raise
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        print(f"synchrojax: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "synchrojax: stopped; generate and train resume with the same command", file=sys.stderr
        )
        return 130


def main(arguments: Iterable[str] | None = None) -> int:
    """Entry point; returns the exit status.

    0, 2 for an error, 3 for a fit that is not ok, 130 when interrupted, 141 when nobody reads on.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name in Greek must not die of the locale
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        try:
            return _run(sys.argv[1:] if arguments is None else list(arguments))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # what is left goes nowhere when the interpreter ends
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell reports a program that the signal ended
