"""Child instances: the shares of a foreach, and sub-workflows. The machine decides on them, this room acts.

A child is an instance of its own, in its parent's lane, under an id that follows from its parent's. Parent and child
are two documents, and no write holds both; so each step of a child's life is first noted where the next owner finds it:

1. The machine lists a child among those under way, and says `ChildWanted`. That is an *intent*: it stands in the
   parent's document (`codec.Intent`), and is carried out once that write is acknowledged. The child is created then, or
   it is found to be there already. When its own first write is acknowledged, the intent is done with.
2. A child that is to be cancelled, terminated, paused or resumed is an intent likewise (`ChildSteered`).
3. When a child's end is acknowledged its parent is told (`ChildEnded`): it is brought into memory, if it rests. The
   child's document stays until the parent's write that holds its result is acknowledged. So a child that its parent
   lists, and that has no document, has never been; and what a take-over finds, it can only tell once more.

A parent with intents, and a child that has ended, are `held`: whoever takes the lane over has them in memory. All
others rest and leave memory like any instance.

`keeping` is the loop that does it, `birth` makes children, `ends` says what an ended one tells its parent, `known`
reads from an instance's state which children it has.
"""
