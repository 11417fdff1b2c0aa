"""Every request that docs/search.md shows is one that is answered."""

from __future__ import annotations

import re

from tests.kit.markdown import ROOT
from tests.kit.schedulers import ONE_STEP, new_cluster, scheduler
from tests.kit.speaking import Speaking
from tests.kit.virtual_time import run_virtual

SHOWN = re.findall(r"curl -s 'localhost:8080(/[^']+)'", (ROOT / "docs" / "search.md").read_text())


def test_requests_on_the_page_are_answered() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            await s.start("one")
            assert len(SHOWN) >= 4
            for target in SHOWN:
                answer = await Speaking(s.replica).ask("GET", target, tenant="acme", space="default", roles="")
                assert (answer.status, answer.json["instances"]) == (200, []), (target, answer.body)

    run_virtual(main())
