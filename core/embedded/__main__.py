"""`python -m leasehold.core.embedded`."""

from __future__ import annotations

import sys

from .foreground import main

sys.exit(main())
