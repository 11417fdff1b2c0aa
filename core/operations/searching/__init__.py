"""The list of instances, live and finished ones as one: `GET /_workflows/_search`.

Live instances stand in lanes, ends in history, and for a moment an instance stands in both. So a page is merged from
two lists (`halves`), each in a point in time of its own (`snapshots`), and what is not its instance's latest life is
left out (`doubles`). Where the next page begins travels with the caller (`tokens`). `words` finds text where no index
has it: in the documents of live instances.
"""
