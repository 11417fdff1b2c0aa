"""Steps that no executor runs: how each kind begins, goes on and ends.

Kinds that are alike share a module: a `begin` for each, and what is called when something inside it, a child, a timer
or a signal has news. `kinds` says which begins how, `ends` is common to all, `shares` is a foreach as its children see
it. What follows is noted in the turn (`done`, `failed`, `entering`); nothing here calls what comes after it.
"""
