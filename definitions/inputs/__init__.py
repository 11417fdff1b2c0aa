"""Inputs: how a definition declares them, whether that makes sense, and the check of the params of a start."""
