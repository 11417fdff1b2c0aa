"""Retention: what nobody needs any more goes, slowly and in small batches.

History ages by policies (`core.lifecycle`). This package clears what stands beside it: idempotency keys, places of
concurrency groups, memories, heads of audit chains, usage by day, and what crashes have left behind. What concerns the
installation is done by the owner of the first lane, what concerns a lane by that lane's owner.

Everything is found by searches and removed by deletions of the very version that was judged. So whoever writes the
document meanwhile wins, the deletion is refused, and any number of replicas may clear at once. Where that alone does
not exclude a race, the module says what does.
"""
