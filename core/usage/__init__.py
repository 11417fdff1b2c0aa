"""What tenants use: counted from history into `workflow-usage`, and held against their budgets.

`counting` brings `workflow-usage` up with `workflow-steps` and `workflow-instances`. There is one document a tenant,
workflow and UTC day (`documents`). What has changed is known by sequence numbers: `position` is how far history has
been counted, and stands in the control index. Of the days that rows above it belong to, the whole sums are made anew,
and a document takes sums that were made of more rows than those that it holds. So it does not matter who counts, how
often, or how far the last one came; and when history drops old rows, nothing is lowered. Source: ADR 22.

`budgets` says whether a tenant has spent what it may. It reads the same rows, only new ones and by tenant alone, and
adds those that this replica has on their way to history.
"""
