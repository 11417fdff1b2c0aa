"""Quotas of tenants and capabilities, as a lane's owner keeps to them.

`lane_quotas` says whether a step or an instance may begin now, `share_keeper` seeks units for a replica's lanes and
gives back what they do not use, `admission` lets queued instances begin.
"""
