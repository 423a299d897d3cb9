"""``python -m synchrojax``: the command line without its script on the PATH."""

import sys

from synchrojax.cli import main

sys.exit(main())
