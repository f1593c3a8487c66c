"""Any step of any Glow, shown: `rg.trace` and the command `refglow explain`.

A trace holds every stage of a pass: what went in and came out, its log-det, the bits per dimension
so far, its condition. `terminal.py` prints it, `page.py` makes it one HTML page with a slider, and
`pixel.py` works the numbers of one pixel through by hand.
"""

from refglow.explain.record import Stage, Trace
from refglow.explain.statistics import Statistics
from refglow.explain.tracing import trace

__all__ = ["Stage", "Statistics", "Trace", "trace"]
