from leasehold.core.lanes.memory.ready_queue import ReadyQueue, ReadyStep, Waiter


def step(name: str, capability: str = "render", tenant: str = "acme", rank: int = 0) -> ReadyStep:
    return ReadyStep(name, name, capability, tenant, rank)


def waiter(*capabilities: str, tenant: str | None = None, max_steps: int = 1, tag: object = None) -> Waiter:
    return Waiter(capabilities or ("render",), tenant, max_steps, tag)


def matched(queue: ReadyQueue) -> list[tuple[object, list[str]]]:
    return [(claim.tag, [taken.path for taken in steps]) for claim, steps in queue.match()]


def test_a_ready_step_wakes_exactly_one_waiter_the_longest_waiting() -> None:
    queue = ReadyQueue()
    for tag in ("first", "second"):
        queue.wait(waiter(tag=tag))
    queue.add(step("s"))
    assert matched(queue) == [("first", ["s"])]
    assert matched(queue) == []
    queue.add(step("t"))
    assert matched(queue) == [("second", ["t"])]


def test_a_batch_claim_takes_all_that_became_ready_together() -> None:
    queue = ReadyQueue()
    queue.wait(waiter(max_steps=10, tag="batch"))
    for n in range(12):
        queue.add(step(f"s{n}"))
    assert matched(queue) == [("batch", [f"s{n}" for n in range(10)])]
    assert [taken.path for taken in queue.take(("render",), None, 10)] == ["s10", "s11"]


def test_a_step_nobody_can_run_holds_up_no_other() -> None:
    queue = ReadyQueue()
    for n in range(50):
        queue.add(step(f"blocked{n}", capability="rare", rank=-1))
    queue.add(step("fine"))
    assert [taken.path for taken in queue.take(("render",), None, 5)] == ["fine"]


def test_a_waiter_for_several_capabilities_is_served_once() -> None:
    queue = ReadyQueue()
    queue.wait(waiter("render", "http", tag="both"))
    queue.add(step("r"))
    queue.add(step("h", capability="http"))
    assert matched(queue) == [("both", ["r"])]
    assert queue.sizes() == {"http": 1}


def test_a_claim_bound_to_a_tenant_gets_only_its_own_steps() -> None:
    queue = ReadyQueue()
    queue.wait(waiter(tenant="acme", tag="acme"))
    queue.wait(waiter(tenant="globex", tag="globex"))
    queue.add(step("g", tenant="globex"))
    assert matched(queue) == [("globex", ["g"])]
    assert queue.take(("render",), "globex", 1) == []


def test_a_withdrawn_step_is_never_given_out() -> None:
    queue = ReadyQueue()
    gone, stays = step("gone"), step("stays")
    queue.add(gone)
    queue.add(stays)
    queue.withdraw(gone)
    queue.withdraw(gone)
    assert queue.sizes() == {"render": 1}
    assert [taken.path for taken in queue.take(("render",), None, 5)] == ["stays"]


def test_a_waiter_that_left_is_passed_over() -> None:
    queue = ReadyQueue()
    left, stays = waiter(tag="left"), waiter(tag="stays")
    queue.wait(left)
    queue.wait(stays)
    queue.leave(left)
    queue.leave(left)
    queue.add(step("s"))
    assert matched(queue) == [("stays", ["s"])]


def test_an_old_step_of_low_priority_overtakes_a_new_one_of_high_priority() -> None:
    age_step_ms = 60_000
    queue = ReadyQueue()
    queue.add(step("new-high", rank=500_000 + 2 * age_step_ms))
    queue.add(step("old-low", rank=0 + 8 * age_step_ms))
    assert [taken.path for taken in queue.take(("render",), None, 2)] == ["old-low", "new-high"]
