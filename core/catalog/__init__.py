"""Definitions: their versions, which of them is active, and which one a start gets.

A version is a write-once document; a head document says which versions of a name there are and which is active.
Whatever changes a head (`activations`) is one conditional write of it (`heads`), so two who change it at once can't
undo each other's change unseen. A canary is a version that a share of the starts gets (`split`); replicas that see its
instances end judge it by what history holds (`canaries`, `judging`).
"""

from .catalog import Catalog, Offer
from .documents import Compiled

__all__ = ["Catalog", "Compiled", "Offer"]
