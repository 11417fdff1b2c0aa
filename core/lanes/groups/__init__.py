"""Concurrency groups: at most so many instances with one key run at once, in all lanes.

A group lives in one lane, the one that its document in `workflow-keys` names (`places`); that lane's owner decides who
of the group runs and who waits (`slots`, pure) and carries it out (`groups`). Nothing is counted apart: a slot is taken
by a live instance that is not `queued`, and by nothing else.

Every member is stored `queued` before it may run, and runs by a write of its own (`Admitted`). So at each moment the
documents in the lane say who runs, and whoever takes the lane over admits the same ones, in the same order, as an owner
whose last writes come late: the limit holds in every state that Elasticsearch ever held.
"""
