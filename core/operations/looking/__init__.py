"""What is read of instances; nothing here writes.

`reads` finds an instance live or in history, `shares` shows the steps that run in its children, `calls` what an attempt
asked of tools and models. `recordings` puts an instance's past together and replays it. `explain` gathers why it waits.
"""
