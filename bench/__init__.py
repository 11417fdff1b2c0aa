"""The benchmark: what the scheduler does on a real Elasticsearch, in figures that can be run again.

`python -m leasehold.bench SCENARIO` runs one scenario (`scenarios`, one a module, each with the question that it
answers) and prints a table, or with `--json` one JSON object (`report`): its figures, its `targets` with their bars,
what was wrong (claims lost or doubled: always zero, however busy the machine), and the circumstances, without which a
figure means nothing: commit, versions, settings, machine, who else used its processors, seed.

How a scenario is made:

- **Ground** (`ground`): an Elasticsearch, embedded or one's own; a replica as its own process, started by the command
  that users run; indices under a prefix of this run's own. All are contexts that take away what they made.
- **Load** (`load`): starters, claimers and probes are processes of their own that talk HTTP, so that no load shares
  an interpreter with the scheduler. Load is open-loop and latency counts from when a request was due, which is the
  correction for coordinated omission. Percentiles come from raw samples.
- **Yardsticks** in the same run: `raw` is the most that Elasticsearch takes without any scheduler, the *commit floor*
  of `latency` the least that one durable transition costs. Ratios to them stand on any machine; absolute times are
  those of one machine in one hour.

A scenario never asserts: it measures, says which targets are met, and ends with exit code 0. Only `wrong` is a verdict.
Every process is ended by the id that it was started with, also after an error, SIGINT or SIGTERM; a load process ends
by itself when the benchmark is killed, since its orders end.

Nothing imports this package.
"""
