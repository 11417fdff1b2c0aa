"""Versions of definitions: `versions` says which is active, and which takes a part of the starts as a canary.

`migrations` finds live instances of one version in all lanes, `migrating` moves those of this replica's lanes to
another, where a replay proves that their past would have been the same.
"""
