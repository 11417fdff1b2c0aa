"""Bulk lines are byte templates: what they hold is JSON all the same."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from leasehold.core.es.lines import create_line, create_line_in, delete_line, fence_lines, index_line, put_line

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
numbers = st.integers(0, 2**63 - 1)


@given(ids)
def test_unconditional_lines_name_the_id_whatever_it_holds(id: str) -> None:
    assert json.loads(create_line(id)) == {"create": {"_id": id}}
    assert json.loads(put_line(id)) == {"index": {"_id": id}}
    assert json.loads(delete_line(id)) == {"delete": {"_id": id}}
    assert b"\n" not in create_line(id) + put_line(id) + delete_line(id)


@given(ids, ids)
def test_a_line_can_name_its_index(index: str, id: str) -> None:
    assert json.loads(create_line_in(index, id)) == {"create": {"_index": index, "_id": id}}


@given(ids, numbers, numbers)
def test_conditional_lines_carry_the_version(id: str, seq_no: int, term: int) -> None:
    condition = {"_id": id, "if_seq_no": seq_no, "if_primary_term": term}
    assert json.loads(index_line(id, seq_no, term)) == {"index": condition}
    assert json.loads(delete_line(id, seq_no, term)) == {"delete": condition}


@given(numbers, ids)
def test_the_fence_carries_its_epoch_as_external_version(epoch: int, writer: str) -> None:
    action, source = fence_lines(epoch, writer)

    assert json.loads(action) == {"index": {"_id": "fence", "version": epoch, "version_type": "external_gte"}}
    assert json.loads(source) == {"kind": "fence", "epoch": epoch, "writer": writer}
