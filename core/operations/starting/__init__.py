"""Starts: `start_keys` renders which key, concurrency group and memory a start belongs to (pure), `starts` creates
instances in this replica's lanes. `idempotency` holds the key documents, which decide which instance a key stands for.
"""
