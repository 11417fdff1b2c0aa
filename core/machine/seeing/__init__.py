"""What templates see of an instance, and the values that they make.

`context` is what they look at, from an instance as it is stored; `visible` its steps; `rendering` the same in the
middle of a turn. `outcomes` has the results of steps whose own steps or children make them.
"""
