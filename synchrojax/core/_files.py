"""Files that are there whole or not at all, and text that is UTF-8 whatever the locale says."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from synchrojax.core._types import PathLike


@contextlib.contextmanager
def written_in_one(path: PathLike) -> Iterator[pathlib.Path]:
    """Yields a path beside ``path`` that takes its place at the end; on any error nothing stays."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        # a full disk does not say of which file, others name the temporary one
        if error.filename2 is None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def existing_place(path: PathLike) -> pathlib.Path:
    """``path``, or the closest place above it that is there."""
    path = pathlib.Path(path)
    return next(p for p in (path, *path.absolute().parents) if p.exists())


def make_directory(path: PathLike, why: str, error: type[ValueError] = ValueError) -> None:
    """Make ``path`` and what is above it. Raises ``error`` with ``why`` if a file is in the way."""
    there = existing_place(path)
    if not there.is_dir():
        raise error(f"{there}: is a file, and {why}")
    pathlib.Path(path).mkdir(parents=True, exist_ok=True)


def write_text(path: PathLike, text: str) -> None:
    """Write ``text`` to ``path`` at once, in UTF-8."""
    with written_in_one(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: PathLike) -> str:
    """The text of ``path``, UTF-8 with or without a byte-order mark.

    Raises OSError and UnicodeDecodeError.
    """
    return pathlib.Path(path).read_text(encoding="utf-8-sig")


def from_json(text: Any, where: Any, kind: Any = dict) -> Any:
    """What JSON ``text`` says.

    Raises ValueError naming ``where`` if it is none, or not of the Python type ``kind``.
    """
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{where}: not valid JSON ({error})") from None
    if not isinstance(found, kind):
        raise ValueError(f"{where}: expected a JSON {_JSON[kind]}, got {text[:60]!r}")
    return found


_JSON = {dict: "object", list: "list"}
