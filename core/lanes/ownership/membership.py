"""Who should own which lane: rendezvous hashing over live replicas, evened out. Pure.

Every replica computes the same answer from the same membership, so they need not talk to agree; where their views
differ for a moment, lane leases decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b


def assignment(lanes: Iterable[str], replicas: Iterable[str]) -> dict[str, str]:
    """Lane to replica; empty without replicas. No replica owns more than one lane above any other.

    Pairs are taken in the order of their hashes as long as the replica has room, so a replica that joins or leaves
    moves few lanes. Source: D. Thaler, C. Ravishankar, "Using Name-Based Mappings to Increase Hit Rates" (1998), with
    the bound of consistent hashing with bounded loads (V. Mirrokni, M. Thorup, M. Zadimoghaddam, 2018).
    """
    lane_list, replica_list = sorted(set(lanes)), sorted(set(replicas))
    if not replica_list:
        return {}
    floor, with_one_more = divmod(len(lane_list), len(replica_list))
    pairs = sorted((_weight(lane, replica), lane, replica) for lane in lane_list for replica in replica_list)
    owners: dict[str, str] = {}
    owned = dict.fromkeys(replica_list, 0)
    for _, lane, replica in pairs:
        if lane in owners or owned[replica] > floor:
            continue
        if owned[replica] == floor:
            if with_one_more == 0:
                continue
            with_one_more -= 1
        owners[lane] = replica
        owned[replica] += 1
    return owners


def _weight(lane: str, replica: str) -> bytes:
    return blake2b(f"{lane}\0{replica}".encode(), digest_size=8).digest()
