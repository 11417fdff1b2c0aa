"""How a call reaches one of several servers, once, although connections break.

`Addresses` decides, without I/O, which server is asked next and when. An `Exchange` sends one request and gets one
answer. A `Caller` puts them together: it repeats a call for as long as its caller allows, and no call whose repetition
could do something twice.

What an unanswered or refused sending means:

| what came | it means | then |
| --- | --- | --- |
| no connection | not sent | the next server at once, each rests after a failure |
| a 503 that says `unavailable`, 408, 429 | nothing was done | the same, after `Retry-After` |
| a broken connection, no answer in time, other 5xx | unknown | the same if it may be repeated, else `OutcomeUnknown` |
| any other problem | refused | `Refused`, told whether an earlier sending may have taken effect |

A server stays in use until it fails. Rests grow exponentially and are jittered, so that clients of a server that
comes back do not come back all at once.
"""

from .addresses import Addresses, Turn
from .calls import Answered, Caller, Outgoing, decoded
from .exchange import AiohttpExchange, Answer, Exchange, NoAnswer, NotSent, Request

__all__ = [
    "Addresses",
    "AiohttpExchange",
    "Answer",
    "Answered",
    "Caller",
    "Exchange",
    "NoAnswer",
    "NotSent",
    "Outgoing",
    "Request",
    "Turn",
    "decoded",
]
