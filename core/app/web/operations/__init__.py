"""The operations behind the routes, by what they are about: each takes a principal, parameters and a body, calls
`core.replica.Replica`, and answers a `Reply`. They know no HTTP beyond status numbers.
"""
