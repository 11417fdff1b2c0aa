import asyncio

import pytest

from tests.kit.virtual_time import EPOCH_MS, NothingWillHappen, VirtualClock, run_virtual


def test_a_week_passes_at_once_and_both_clocks_show_it() -> None:
    async def main() -> tuple[int, int]:
        clock = VirtualClock()
        await asyncio.sleep(7 * 24 * 3600)
        return clock.now_ms() - EPOCH_MS, clock.monotonic_ms()

    assert run_virtual(main()) == (604_800_000, 604_800_000)


def test_timers_fire_in_the_order_of_their_deadlines() -> None:
    async def main() -> list[str]:
        fired: list[str] = []
        loop = asyncio.get_running_loop()
        for delay_s, name in ((3.0, "late"), (0.001, "soon"), (1.5, "between")):
            loop.call_later(delay_s, fired.append, name)
        await asyncio.sleep(10)
        return fired

    assert run_virtual(main()) == ["soon", "between", "late"]


def test_waiting_for_what_nobody_will_do_fails_instead_of_hanging() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(NothingWillHappen):
        run_virtual(main())
