"""How the steps of a definition stand: after each other, inside each other, and what each of them sees.

`graph` is one list of steps, `tree` all of them, `places` where templates stand and what is visible from there. All of
it is read of the document's values, however wrong they are; the checks and the compiler share it.
"""

from .graph import Fault, Graph, Outline, build, outlines
from .places import Layer, Place, given_names, layers, places
from .tree import NESTING_MAX, STEPS_MAX, BlockTree, StepTree, Tree, read_tree

__all__ = [
    "NESTING_MAX",
    "STEPS_MAX",
    "BlockTree",
    "Fault",
    "Graph",
    "Layer",
    "Outline",
    "Place",
    "StepTree",
    "Tree",
    "build",
    "given_names",
    "layers",
    "outlines",
    "places",
    "read_tree",
]
