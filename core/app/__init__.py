"""Everything at the edge of a scheduler process: HTTP, configuration, logs, the command line, and how it comes up.

This is the only storey that knows everyone. `serve` is the composition root: it reads no file and no variable itself,
but takes the `Settings` that `configuration` has merged from `sources` (file, environment, arguments), listens, opens
a `core.replica.Replica`, and answers with `web` until it is told to stop. `problems` says in HTTP's words what the
scheduler's errors say; `authentication` says who is asking; `logs` and `core.metrics` say what happened.

`script.main` is the console script. It and `commands` import what a command needs when it runs, and not before: with
the `executors` extra alone, `leasehold worker` runs although nothing of a server is installed.
"""
