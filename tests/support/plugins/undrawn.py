"""The extension with which reports of a process have no plots, which take longer than the rest of
them: in ``python -m bench`` and in pytest.

A worker and a job of a cluster import nothing for it: they draw nothing.
"""

import sys
from pathlib import Path

if Path(sys.argv[0]).parent.name in ("bench", "pytest"):
    from bench.report import plots

    plots.TABLES = ()
