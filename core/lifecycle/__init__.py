"""How history ages: the policies in force, who changed them, and the loop that has them carried out.

`documents` is what stands in the control index of each policy, `policies` reads and writes it, `delivery` brings the
rows of changes into the audit trail, `keeper` is the loop, `words` say how long something is kept. What ages indices is
`ilm.lifecycle`.
"""
