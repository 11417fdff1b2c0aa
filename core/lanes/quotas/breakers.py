"""One replica's circuit breakers: a tenant's capability that keeps failing is not claimed for a while.

Breakers are a replica's own. It learns from the attempts of its lanes alone, so replicas open theirs at different
moments and each sends probes of its own; nothing of it is stored, and a lane's next owner learns anew. Steps held back
wait as ready steps do: nothing fails, and no attempt is used up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from ....tenancy.breaker import CircuitBreaker
from ....tenancy.rules import Breaker, Rules
from ....tenancy.stops import Stop
from ...machine.events import AttemptRecord
from ...metrics import Metrics
from ...ports import Clock
from ...tenants import Tenants

if TYPE_CHECKING:
    from ..memory.resident import Resident

log = structlog.get_logger(__name__)

# While probes are out, it is seen after so long at the latest that one was lost with its lane or given back.
_LOOK_MS = 1_000
_CIRCUITS_MAX = 50_000
_FAILED = frozenset({"failed", "timed_out", "lease_lost"})

Line = tuple[str, str]


class _Circuit:
    """A breaker, and the leases of its probes: which of these are out is seen from the residents, so none can leak."""

    __slots__ = ("breaker", "leases", "nap")

    def __init__(self, rules: Breaker) -> None:
        self.breaker = CircuitBreaker(rules)
        self.leases: list[tuple[Resident, str, int]] = []
        self.nap: asyncio.TimerHandle | None = None


class Breakers:
    """Says what may be claimed (`Stopper`); `on_changed` is told of which tenant more may be than before."""

    def __init__(self, *, clock: Clock, metrics: Metrics, tenants: Tenants) -> None:
        self._clock = clock
        self._metrics = metrics
        self._tenants = tenants
        self._circuits: dict[Line, _Circuit | None] = {}
        self._open: set[Line] = set()
        self._any = False
        self.on_changed: Callable[[str], None] = lambda _: None
        metrics.watch_breakers(lambda: len(self._open))
        tenants.on_changed.append(self.rules_changed)
        self.rules_changed()

    def stop(self, tenant: str, capability: str) -> Stop | None:
        """Why no step of that tenant and capability may be claimed now; None when one may. O(1)."""
        circuit = self._circuit(tenant, capability)
        if circuit is None:
            return None
        now_ms = self._clock.monotonic_ms()
        if circuit.leases:
            _lose_the_gone(circuit)
        breaker = circuit.breaker
        if breaker.lets_through(now_ms):
            return None
        wait_ms = breaker.wait_ms(now_ms)
        self._nap((tenant, capability), circuit, _LOOK_MS if wait_ms is None else wait_ms)
        if wait_ms is None:
            reason = f"the breaker of capability {capability} waits for the outcome of what tries it"
            return Stop("breaker", len(breaker.probes), breaker.rules.probes, None, reason)
        failed = f"{breaker.failed_share:.0%} of the attempts of capability {capability} failed"
        reason = f"{failed}, so its breaker holds it back for {-(-wait_ms // 1_000)} s more"
        return Stop("breaker", 0, 0, self._clock.now_ms() + wait_ms, reason)

    def began(self, tenant: str, capability: str) -> None:
        """A step that was let through is about to be leased: `granted` or `put_back` is next."""
        circuit = self._circuit(tenant, capability)
        if circuit is not None:
            circuit.breaker.reserve(self._clock.monotonic_ms())

    def put_back(self, tenant: str, capability: str) -> None:
        """It was not leased after all."""
        circuit = self._circuit(tenant, capability)
        if circuit is not None:
            circuit.breaker.put_back()

    def granted(self, resident: Resident, path: str, capability: str) -> None:
        """It is leased."""
        circuit = self._circuit(resident.instance.tenant, capability)
        if circuit is not None and circuit.breaker.state(self._clock.monotonic_ms()) == "half_open":
            token = resident.instance.steps[path].token
            circuit.breaker.begin((resident.id, path, token))
            circuit.leases.append((resident, path, token))

    def ended(self, resident: Resident, record: AttemptRecord) -> None:
        """An attempt of a lane of this replica has ended. O(1)."""
        tenant, capability = resident.instance.tenant, record.executor
        circuit = self._circuit(tenant, capability)
        if circuit is None or record.outcome == "cancelled":
            return
        now_ms = self._clock.monotonic_ms()
        led_to = circuit.breaker.end(
            (resident.id, record.path, record.token),
            began_ms=now_ms - max(0, self._clock.now_ms() - record.started_at_ms),
            failed=record.outcome in _FAILED,
            now_ms=now_ms,
        )
        if led_to is not None:
            circuit.leases.clear()
            self._tell((tenant, capability), circuit, opened=led_to == "open")

    def rules_changed(self) -> None:
        """Other rules are in force: breakers whose rules are the same stay as they are, the others begin anew."""
        rules = self._tenants.rules
        self._any = _any_in(rules)
        for line, circuit in list(self._circuits.items()):
            if circuit is None or _rules_of(rules, line) != circuit.breaker.rules:
                self._drop(line)

    def close(self) -> None:
        """The replica ends."""
        for line in list(self._circuits):
            self._drop(line)

    def _circuit(self, tenant: str, capability: str) -> _Circuit | None:
        if not self._any:
            return None
        line = (tenant, capability)
        try:
            return self._circuits[line]
        except KeyError:
            if len(self._circuits) >= _CIRCUITS_MAX:
                self._make_room()
            rules = _rules_of(self._tenants.rules, line)
            circuit = self._circuits[line] = None if rules is None else _Circuit(rules)
            return circuit

    def _make_room(self) -> None:
        """What is closed begins to count anew."""
        for line in [line for line in self._circuits if line not in self._open]:
            self._drop(line)

    def _drop(self, line: Line) -> None:
        circuit = self._circuits.pop(line)
        if circuit is not None and circuit.nap is not None:
            circuit.nap.cancel()
        self._open.discard(line)

    def _tell(self, line: Line, circuit: _Circuit, *, opened: bool) -> None:
        tenant, capability = line
        if opened:
            breaker = circuit.breaker
            again = line in self._open
            self._open.add(line)
            self._metrics.breaker_opened(capability)
            log.warning(
                "breaker.opened",
                tenant=tenant,
                capability=capability,
                failed_share=round(breaker.failed_share, 3),
                open_ms=breaker.rules.open_ms,
                after_probe=again,
            )
        else:
            self._open.discard(line)
            log.info("breaker.closed", tenant=tenant, capability=capability)
            self.on_changed(tenant)

    def _nap(self, line: Line, circuit: _Circuit, wait_ms: int) -> None:
        """Steps are held back: they are tried again after that time."""
        if circuit.nap is None:
            circuit.nap = asyncio.get_running_loop().call_later(wait_ms / 1_000, self._look, line, circuit)

    def _look(self, line: Line, circuit: _Circuit) -> None:
        circuit.nap = None
        self.on_changed(line[0])


def _lose_the_gone(circuit: _Circuit) -> None:
    """Probes whose lease ended without an outcome, or whose lane this replica lost, make room for others."""
    for lease in list(circuit.leases):
        resident, path, token = lease
        held = resident.lane.residents.get(resident.id) is resident and not resident.lane.closed
        if not (held and path in resident.leases and resident.instance.steps[path].token == token):
            circuit.leases.remove(lease)
            circuit.breaker.lose((resident.id, path, token))


def _any_in(rules: Rules) -> bool:
    return any(
        tenant.breaker is not None or any(one.breaker is not None for one in tenant.capabilities.values())
        for tenant in (rules.defaults, *rules.tenants.values())
    ) or any(one.breaker is not None for one in rules.capabilities.values())


def _rules_of(rules: Rules, line: Line) -> Breaker | None:
    """The tenant's for the capability, else the tenant's for all, else the deployment's: for each tenant by itself."""
    tenant, capability = line
    found = rules.tenants.get(tenant, rules.defaults)
    own = found.capabilities.get(capability)
    everybodys = rules.capabilities.get(capability)
    for one in (own, found, everybodys):
        if one is not None and one.breaker is not None:
            return one.breaker
    return None
