"""What `serve --processes` asks of the platform and of the port (`core.app.siblings`)."""

from __future__ import annotations

import socket
import sys

import pytest
from leasehold.core.app.serve import CannotServe, bound
from leasehold.core.app.siblings import check_platform, reserved
from leasehold.core.settings import ServerSettings

FREE = ServerSettings(port=0, processes=2)
linux = pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not share a port's connections out")


def test_a_platform_that_does_not_share_ports_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(CannotServe, match=r"processes is 2, .* each on a port of its own"):
        check_platform(FREE)


@linux
def test_a_reserved_port_is_shared_with_those_who_share_it_and_closed_to_others() -> None:
    check_platform(FREE)
    with reserved(FREE) as held:
        port = held.getsockname()[1]
        with bound(ServerSettings(port=port), shared=True) as one, bound(ServerSettings(port=port), shared=True) as two:
            one.listen()
            two.listen()
            with pytest.raises(CannotServe, match="in use"):
                reserved(ServerSettings(port=port))


@linux
def test_a_reserved_port_takes_no_connections_itself() -> None:
    with reserved(FREE) as held, pytest.raises(ConnectionRefusedError), socket.create_connection(held.getsockname()):
        pass
