"""Who may see what, and what is kept of those who asked for more.

`deciding` is the one place that says whether a principal may see an instance, a step or a tenant; what is refused is
found by nobody: the answer is that of something that does not exist. `refusals` gathers refusals, repeats counted, and
writes them to `workflow-audit` in bulks.
"""

from .deciding import Access
from .refusals import Refusals
from .rows import Refusal

__all__ = ["Access", "Refusal", "Refusals"]
