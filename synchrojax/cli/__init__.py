"""The command line. It may import every room; nothing imports it.

Adding a verb: a function of the parsed options here and its arguments in ``_parser``, with an example.
"""

from synchrojax.cli._main import main

__all__ = [
    "main",
]
