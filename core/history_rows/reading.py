"""What is taken from encoded rows: the final state of an instance, and a row that any index can hold."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ..machine.state import Approval, Instance, StepState


class _FinalInstance(Struct, gc=False):
    instance: Instance


def stripped_row(row: bytes) -> bytes:
    """A row without what users' payloads put into it, marked `stripped`: for one that Elasticsearch refuses."""
    fields: dict[str, Any] = msgspec.json.decode(row)
    for name in ("inputs", "outputs", "inputs_lines", "outputs_lines", "calls", "log", "details", "stored_bytes"):
        fields.pop(name, None)
    if "step" in fields:
        for name in ("input", "output", "input_lines", "output_lines"):
            fields["step"].pop(name, None)
    if "instance" in fields:
        instance = msgspec.convert(fields["instance"], Instance)
        fields["instance"] = msgspec.to_builtins(_without_payloads(instance))
    if fields.get("error"):
        fields["error"]["message"] = str(fields["error"].get("message", ""))[:_STRIPPED_MESSAGE_CHARACTERS]
    return msgspec.json.encode({**fields, "stripped": True})


def instance_of_row(row: bytes) -> Instance:
    """The final state that an instance's row holds."""
    return _final_decoder.decode(row).instance


_STRIPPED_MESSAGE_CHARACTERS = 1_000
_final_decoder = msgspec.json.Decoder(_FinalInstance)


def _without_payloads(instance: Instance) -> Instance:
    def bare(approval: Approval | None) -> Approval | None:
        return None if approval is None else replace(approval, form=None, comment=None)

    def bare_step(step: StepState) -> StepState:
        return replace(step, result=None, checkpoint=None, error=None, approval=bare(step.approval), parts={})

    steps = {path: bare_step(step) for path, step in instance.steps.items()}
    return replace(instance, inputs={}, trigger={}, memory=None, outputs=None, error=None, steps=steps)
