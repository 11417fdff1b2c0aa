"""The HTTP surface: from bytes to a call of `core.replica.Replica`, and back.

`routes.ROUTES` is the single source: `server` serves it and `openapi` describes it. A request goes through `router`
(path to route), `authentication` (headers to principal), `parameters` (path, query and headers to one struct), `bodies`
(bytes to one struct, read strictly) and one of the `operations`, which answers a `Reply`.

Anything that can be wrong is raised as a `LeaseholdError` and becomes a problem document in one place. 400 means that
the request does not have the form that the OpenAPI document gives; 422 that it has, and can't be done as it stands.

A claim may wait. If its client leaves, its connection cancels the request's task, and with it `Replica.claim`, which
gives back what it was about to grant. If the client leaves between the grant and the answer, nobody reads it, and
`Reply.undelivered` gives the leases back. What is lost beyond the socket's buffer is left to the leases' own end, or to
the client's repeat under the same `request_id`.
"""
