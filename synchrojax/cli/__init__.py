"""The command line. It may import every room; nothing imports it.

Adding a verb: a function of the parsed options beside those of its kind, and its arguments in
``add`` there, with an example.
"""

from synchrojax.cli._main import main

__all__ = [
    "main",
]
