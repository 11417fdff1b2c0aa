"""Limits under faults: replicas that die and stand still, load, and what is seen of it from outside."""
