"""Steps that no executor runs: how each kind begins, goes on and ends.

A kind has a module with a `begin`, and with what is called when something inside it, a child, a timer or a signal has
news. What follows is noted in the turn (`done`, `failed`, `entering`); nothing here calls what comes after it.
"""
