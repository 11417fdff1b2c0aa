"""What people tell instances. `steering` carries an order out at the owner of the lane, `ordering` turns it into the
machine's event and a row of the audit trail, `redrives` brings ended instances back under their own id, and
`dead_letters` lists those that failed and re-drives many of them.
"""
