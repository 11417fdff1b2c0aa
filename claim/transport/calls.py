"""One call: sent, and sent again where that is safe, until it is answered or its time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from ..errors import OutcomeUnknown, Unavailable, WrongAnswer, refusal
from ..wire import Problem
from .addresses import Addresses
from .exchange import Answer, Exchange, NoAnswer, NotSent, Request

T = TypeVar("T")

PROBLEM_PREFIX = "urn:leasehold:problem:"

# What these words say has not been done, and may be asked again.
_NOT_DONE = {408: "request-timeout", 429: "quota-exceeded", 503: "unavailable"}
_QUOTED_CHARACTERS = 200


class Outgoing(Struct, frozen=True):
    """What to ask. `repeatable`: doing it twice is as good as once, so it is repeated after an unknown outcome."""

    method: str
    path: str
    repeatable: bool
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    content_type: str = "application/json"


class Answered(Struct, frozen=True):
    """A good answer. Times are the event loop's, in seconds.

    `sent_at_s`: when the sending that was answered began. `since_s`: when the first sending began that may have had
    the effect; it is earlier when one of unknown outcome came before.
    """

    status: int
    body: bytes
    sent_at_s: float
    since_s: float
    after_unknown: bool


class _Sendings:
    """What has come of one call's sendings so far."""

    def __init__(self, call: Outgoing) -> None:
        self.call = call
        self.unknown_since_s: float | None = None
        self.problem: Problem | None = None
        self.why = "no server was asked"

    def unknown(self, since_s: float, why: str) -> None:
        """Raises: OutcomeUnknown if the call must not be repeated now."""
        self.why = why
        if self.unknown_since_s is None:
            self.unknown_since_s = since_s
        if not self.call.repeatable:
            raise self.given_up(f"{why}; it was not sent again, since that could do it twice")

    def given_up(self, why: str) -> Unavailable | OutcomeUnknown:
        if self.unknown_since_s is not None and self.call.method != "GET":
            return OutcomeUnknown(f"{self.call.method} {self.call.path} may or may not have taken effect: {why}")
        return Unavailable(f"{self.call.method} {self.call.path} was not done: {why}", self.problem)


class Caller:
    """Sends calls to one set of servers, with the same headers each time."""

    def __init__(self, addresses: Addresses, exchange: Exchange, *, headers: Mapping[str, str]) -> None:
        self._addresses = addresses
        self._exchange = exchange
        self._headers = {"Accept": "application/json", **headers}

    async def send(self, call: Outgoing, *, answer_within_s: float, give_up_after_s: float) -> Answered:
        """The answer, if it is a good one.

        One sending takes at most `answer_within_s`; none begins after `give_up_after_s`, and at least one is made.
        Raises: Refused (LeaseLost, NotFound); Unavailable; OutcomeUnknown; WrongAnswer.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + give_up_after_s
        sendings = _Sendings(call)
        while True:
            turn = self._addresses.turn(loop.time())
            if turn.wait_s:
                if loop.time() + turn.wait_s > deadline_s:
                    raise sendings.given_up(f"{sendings.why}; gave up after {give_up_after_s:g} s")
                await asyncio.sleep(turn.wait_s)
            answered = await self._attempt(sendings, turn.url, answer_within_s)
            if answered is not None:
                return answered

    async def _attempt(self, sendings: _Sendings, url: str, within_s: float) -> Answered | None:
        """One sending; None when there is to be another."""
        loop = asyncio.get_running_loop()
        sent_at_s = loop.time()
        try:
            answer = await self._exchange(self._request(sendings.call, url), within_s)
        except NotSent as error:
            sendings.why = f"no connection to {url}: {error}"
            self._addresses.failed(url, loop.time())
            return None
        except NoAnswer as error:
            self._addresses.failed(url, loop.time())
            sendings.unknown(sent_at_s, f"no answer from {url}: {error}")
            return None
        if answer.status >= 500 or answer.status in _NOT_DONE:
            self._refused_for_now(sendings, url, answer, sent_at_s)
            return None
        self._addresses.answered(url)
        first_s = sendings.unknown_since_s
        if answer.status >= 300:
            raise _refused(url, answer, after_unknown=first_s is not None)
        since_s = sent_at_s if first_s is None else first_s
        return Answered(answer.status, answer.body, sent_at_s, since_s, first_s is not None)

    def _refused_for_now(self, sendings: _Sendings, url: str, answer: Answer, sent_at_s: float) -> None:
        problem = _problem(answer)
        retry_after_s = _retry_after_s(answer, problem)
        self._addresses.failed(url, asyncio.get_running_loop().time(), retry_after_s)
        sendings.problem = problem
        why = f"{url} answered {answer.status}{': ' + problem.detail if problem and problem.detail else ''}"
        if problem is not None and problem.type == PROBLEM_PREFIX + _NOT_DONE.get(answer.status, ""):
            sendings.why = why
        elif answer.status in (408, 429):
            sendings.why = why  # no problem document: a proxy's, which says that it did not pass the request on
        else:
            sendings.unknown(sent_at_s, why)

    def _request(self, call: Outgoing, url: str) -> Request:
        headers = {**self._headers, **call.headers}
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        query = f"?{urlencode(call.query, safe=',:', quote_via=quote)}" if call.query else ""
        return Request(call.method, f"{url}{call.path}{query}", headers, call.body)


def decoded(answer: Answered, kind: type[T]) -> T:
    """The answer's body. Raises: WrongAnswer when it is not what a Leasehold server answers."""
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WrongAnswer(f"the answer {_quoted(answer.body)} is not a {kind.__name__}: {error}") from error


def _refused(url: str, answer: Answer, *, after_unknown: bool) -> Exception:
    if answer.status < 400:
        return WrongAnswer(
            f"{url} answered {answer.status} to {answer.location!r}; name the address that answers itself"
        )
    problem = _problem(answer)
    if problem is None:
        return WrongAnswer(f"{url} answered {answer.status} without a problem document: {_quoted(answer.body)}")
    return refusal(problem, after_unknown=after_unknown)


def _problem(answer: Answer) -> Problem | None:
    try:
        return msgspec.json.decode(answer.body, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _retry_after_s(answer: Answer, problem: Problem | None) -> float | None:
    """What the problem says, else the header in seconds; its other form, a date, is not used here."""
    if problem is not None and problem.retry_after_s is not None:
        return max(0.0, problem.retry_after_s)
    text = answer.retry_after or ""
    return float(text) if text.isascii() and text.isdigit() else None


def _quoted(body: bytes) -> str:
    text = body[:_QUOTED_CHARACTERS].decode(errors="replace")
    return repr(text + ("..." if len(body) > _QUOTED_CHARACTERS else ""))
