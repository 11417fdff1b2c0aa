"""The doctor: does everything that has to agree do so, and what can be put right without losing anything.

Each check has a module: what it gathers, and a judgement of that which is pure. A judgement gives `Found`s, each with
its way out, and with a repair where there is a safe one. Repairs may be repeated, by several doctors at once: each is a
request that does nothing where the thing is right already. Whatever has been repaired is a row of the audit trail.
"""
