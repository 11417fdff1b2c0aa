"""The demonstration: `python -m leasehold.core.app.demo`, which `make demo` calls.

Everything is real: an Elasticsearch of its own (`core.embedded`), a replica and a worker as processes of their own
(`processes`), and the main example, `log-triage`, on the log that this Elasticsearch has written while it started.
`run` tells the story in order, `triage` cuts the log and follows the instances, `screen` shows it, `kept` leaves it
running.

Whatever is started is stopped in the reverse order, also after Ctrl-C, SIGTERM or a failure; on Linux the processes
end even if this one is killed. What can go wrong raises a `LeaseholdError` whose words are all that is shown.
"""
