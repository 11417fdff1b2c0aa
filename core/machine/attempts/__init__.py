"""One step on its way: due, asked for approval, ready, claimed, then completed, failed or late.

`activation` makes a step ready, or begins one that no executor runs; `leases`, `completion` and `failure` are what
executors report of an attempt; `approvals` is what people decide, `timers` what time does, `retry` the policy's answer.
A step that ends is noted in the turn (`done`, `failed`), which `settling` follows.
"""
