"""`python -m leasehold.bench.load ROLE`: one load process. Started by `crew`, never by hand."""

from __future__ import annotations

import sys

from .roles import main

main(sys.argv[1])
