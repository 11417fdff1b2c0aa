"""What the scheduler relies on in Elasticsearch, stated once and tried on the model and on a real server.

A difference between the two is a defect of the model, and this suite is where it is to show.
"""
