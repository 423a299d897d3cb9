"""Tables of coefficients and what networks learn from them.

Reading and writing of tables (``table_files``), their configuration (``configuration``:
nn_config.toml), the mappings of their columns (``mapping``), the space in which networks learn them
(``network_space``), listings for people and machines (``listing``), ``summarize`` and
``transform``. It may import core.

Adding a mapping of columns: a class of numbers in ``mapping.KINDS`` with its inverse; the law test
over all of them takes it up by itself.
"""

from synchrojax.tables import configuration, listing, mapping, network_space, table_files
from synchrojax.tables._summarize import picture, report_lines, summarize
from synchrojax.tables._transform import REJECTED, transform
from synchrojax.tables.network_space import CONVENTIONS, RHO_Q_SIGN, SPACES
from synchrojax.tables.table_files import RESULTS, parts

__all__ = [
    "CONVENTIONS",
    "REJECTED",
    "RESULTS",
    "RHO_Q_SIGN",
    "SPACES",
    "configuration",
    "listing",
    "mapping",
    "network_space",
    "parts",
    "picture",
    "report_lines",
    "summarize",
    "table_files",
    "transform",
]
