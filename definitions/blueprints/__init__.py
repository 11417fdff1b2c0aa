"""Blueprints: definitions with parameters, and blocks of steps that stand in several places.

A blueprint is a YAML document with `blueprint:`, its name, `parameters:`, declared as inputs are, and the rest an
ordinary definition in which `${{ parameters.index }}` stands for a value. `blocks:`, in a blueprint as in an ordinary
definition, are named lists of steps with parameters of their own; a step `{name: tell, use: notify, with: {...}}` is
the block `notify` in that place. All of it is gone before anything is checked or stored:

    YAML -> nodes -> `expanding` (`placing` of values, `using` of blocks) -> nodes -> checks, models, plan
                                                                          -> `writing` -> the YAML that is stored

So what Elasticsearch holds, an instance runs and a replay reads is always an ordinary definition that needs nothing
else. The nodes keep the places of the author's text, so errors found later point there; a block of another file has
the place of the step that uses it.

**A block is one step.** A step that uses a block becomes a `switch` with the block as its only case. So the names in a
block are its own, a block can be used twice, its result is that of its last step, and `if`, `depends_on`, `on_failure`
and the other keys of a step hold for the whole of it. Run paths tell where one is: `tell.notify.send`.

**Bounds.** Expansion is a function of its arguments, and what comes out is no larger than what may be written by hand:
the same limits of characters, values and levels hold, and are checked on the way, so that blocks that use blocks that
use blocks stop early.
"""

from .expanding import Expansion, expanded
from .files import blocks_of, values_of
from .using import Block

__all__ = ["Block", "Expansion", "blocks_of", "expanded", "values_of"]
