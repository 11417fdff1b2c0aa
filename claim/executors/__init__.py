"""The built-in executors: `leasehold worker --capability es-query,render`.

| capability | does | module |
| --- | --- | --- |
| `es-query` | one search in Elasticsearch | `es_query` |
| `es-index` | documents into an Elasticsearch index | `es_index` |
| `http` | one HTTP request | `http` |
| `render` | a text from a Jinja2 template | `render` |
| `python` | a call of an allowed Python function | `python` |

Each module names its payload, its result and its error types. A payload that does not fit fails its step for good,
as `payload.invalid`, with what was found and what is allowed; results are bounded, so that none is refused later.
Nothing here is imported before it is asked for, and only `render` needs more than the claim client does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct

from ..errors import ClaimError
from ..running.attempt import Function
from .cluster import Cluster, ClusterOptions

BUILT_IN = ("es-query", "es-index", "http", "render", "python")

# A server takes results of up to 262,144 bytes unless it is set up otherwise.
RESULT_MAX_BYTES = 250_000


class ExecutorOptions(Struct, frozen=True):
    """What the built-in executors need to know.

    `http_allow`: patterns of hosts that `http` may ask; none: any. `python_allow`: the functions (`module:function`)
    that `python` may call. `result_max_bytes` bounds one result.
    """

    elasticsearch: ClusterOptions = ClusterOptions()
    http_allow: tuple[str, ...] = ()
    python_allow: tuple[str, ...] = ()
    result_max_bytes: int = RESULT_MAX_BYTES


@asynccontextmanager
async def built_in(capabilities: Sequence[str], options: ExecutorOptions) -> AsyncIterator[dict[str, Function]]:
    """The functions of these capabilities, ready to be registered; their connections end with the context.

    Raises: ClaimError for an unknown capability or options that can't work; ExtraMissing.
    """
    async with AsyncExitStack() as stack:
        cluster: Cluster | None = None
        functions: dict[str, Function] = {}
        for name in capabilities:
            if name in ("es-query", "es-index") and cluster is None:
                cluster = await stack.enter_async_context(Cluster(options.elasticsearch))
            functions[name] = await _executor(name, options, cluster, stack)
        yield functions


async def _executor(name: str, options: ExecutorOptions, cluster: Cluster | None, stack: AsyncExitStack) -> Function:
    if name == "es-query" and cluster is not None:
        from .es_query import EsQuery

        return EsQuery(cluster, options.result_max_bytes)
    if name == "es-index" and cluster is not None:
        from .es_index import EsIndex

        return EsIndex(cluster)
    if name == "http":
        import aiohttp

        from .http import Http

        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        return Http(session, options.http_allow, options.result_max_bytes)
    if name == "render":
        from .render import Render, RenderLimits

        return await stack.enter_async_context(Render(RenderLimits(options.result_max_bytes)))
    if name == "python":
        from .python import Python

        if not options.python_allow:
            raise ClaimError("the capability python needs the functions that it may call: --python module:function")
        return Python(options.python_allow)
    raise ClaimError(
        f"there is no built-in executor for {name!r}; built in: {', '.join(BUILT_IN)}. For one of your own, write a"
        " Worker: docs/executors.md"
    )
