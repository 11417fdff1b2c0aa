"""What quotas say of themselves."""

from __future__ import annotations

import pytest
from leasehold.core.app.commands.tenancy.fields import assigned, assignment
from leasehold.tenancy.quotas import Quota


@pytest.mark.parametrize("capability", ["es-query", "es.query", "a_b"])
def test_the_word_of_a_quota_is_the_path_by_which_it_is_set(capability: str) -> None:
    word = Quota("running_steps", "acme", capability).word
    assert assigned({}, *assignment(f"{word}=4")) == {"capabilities": {capability: {"max_running_steps": 4}}}
