"""How an instance comes to its end: what is open is cancelled, what was done is undone, closing steps run.

`finishing` says what the instance is to become, and when it has; `cancelling` ends what is under way; `undoing` says
what can be undone and in which order; `compensation` does one part of winding down after the other.
"""
