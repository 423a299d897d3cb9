"""Files that are there whole or not at all."""

import contextlib
import os
import pathlib


@contextlib.contextmanager
def whole(path):
    """Yields a path beside ``path`` to write to, which takes its place at the end; on any error nothing stays."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.filename2 is None:  # a full disk does not say of which file, others name the temporary one
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path, text):
    """Write ``text`` to ``path`` at once."""
    with whole(path) as temporary:
        temporary.write_text(text)
