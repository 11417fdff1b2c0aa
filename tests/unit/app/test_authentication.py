"""Development mode: whose word is taken, and where it is refused."""

import pytest
from leasehold.core.app.authentication import DevelopmentAuthentication, InsecureServer, check_exposure
from leasehold.core.app.problems import RequestProblem
from leasehold.core.errors import Forbidden
from leasehold.core.principal import Principal
from multidict import CIMultiDict, CIMultiDictProxy


def principal(*headers: tuple[str, str]) -> Principal:
    return DevelopmentAuthentication().principal(CIMultiDictProxy(CIMultiDict(headers)))


def test_without_headers_the_caller_is_an_anonymous_operator_in_the_default_tenant_and_space() -> None:
    assert principal() == Principal(name="anonymous", tenant="default", spaces=("default",), roles=("operator",))


@pytest.mark.parametrize(
    ("header", "roles"),
    [("", ()), ("operator", ("operator",)), ("lead,soc-2, lead", ("lead", "soc-2")), ("Operator", ("Operator",))],
)
def test_the_roles_are_those_that_the_header_names_and_no_others(header: str, roles: tuple[str, ...]) -> None:
    assert principal(("x-leasehold-roles", header)).roles == roles
    assert principal(("X-Leasehold-Roles", header)).operator is ("operator" in roles)


def test_whoever_names_a_tenant_and_no_roles_is_an_operator_all_the_same() -> None:
    assert principal(("X-Leasehold-Tenant", "acme")).operator


@pytest.mark.parametrize("roles", [",", "a,", "a b", "*", "-a", "x" * 65, "a;b", "ä", ",".join(["a"] * 33), "a\n"])
def test_bad_roles_are_refused(roles: str) -> None:
    with pytest.raises(RequestProblem, match="the header X-Leasehold-Roles is") as caught:
        principal(("X-Leasehold-Roles", roles))
    assert caught.value.problem.status == 400


def test_roles_given_twice_are_refused() -> None:
    with pytest.raises(RequestProblem, match="given 2 times"):
        principal(("X-Leasehold-Roles", "a"), ("X-Leasehold-Roles", "b"))


@pytest.mark.parametrize(
    ("roles", "sentence"),
    [
        ((), "changing lanes needs the role operator; the caller has no role"),
        (("lead", "soc"), "changing lanes needs the role operator; the caller has lead, soc"),
    ],
)
def test_whoever_is_no_operator_is_told_which_role_it_takes(roles: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(Forbidden, match=f"^{sentence}$"):
        Principal("ann", "acme", roles=roles).check_operator("changing lanes")
    Principal("ann", "acme", roles=(*roles, "operator")).check_operator("changing lanes")


def test_headers_name_tenant_and_space() -> None:
    found = principal(("x-leasehold-tenant", "acme"), ("X-Leasehold-Space", "soc"))
    assert (found.tenant, found.space) == ("acme", "soc")


def test_a_star_is_every_tenant() -> None:
    assert principal(("X-Leasehold-Tenant", "*")).sees("acme")


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "**", "a/b", "ä", "x" * 129, "a\n", "\udcff", "../x"])
@pytest.mark.parametrize("header", ["X-Leasehold-Tenant", "X-Leasehold-Space"])
def test_a_bad_name_is_refused(header: str, name: str) -> None:
    with pytest.raises(RequestProblem) as caught:
        principal((header, name))
    assert caught.value.problem.status == 400
    assert header in caught.value.problem.detail
    caught.value.problem.detail.encode()


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(RequestProblem, match="given 2 times"):
        principal(("X-Leasehold-Tenant", "a"), ("X-Leasehold-Tenant", "b"))


def test_a_web_page_of_another_site_is_refused() -> None:
    with pytest.raises(Forbidden):
        principal(("Sec-Fetch-Site", "cross-site"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_may_be_served_without_authentication(host: str) -> None:
    check_exposure(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "192.168.1.5", "example.org", "", "localhost.evil.org"])
def test_anything_else_is_refused_with_the_way_out(host: str) -> None:
    with pytest.raises(InsecureServer, match="without authentication: allowed are loopback addresses"):
        check_exposure(host)
