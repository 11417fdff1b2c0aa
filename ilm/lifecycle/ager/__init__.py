"""The ager: carries policies out with plain requests, on clusters without index lifecycle management."""

from .ager import Ager

__all__ = ["Ager"]
