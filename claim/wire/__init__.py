"""What travels between executors and replicas: one struct a body, and the source of the OpenAPI document.

Field names are API. Times are integer milliseconds since the epoch and end in `_at_ms`; spans are integer
milliseconds and end in `_ms`. A field that is absent in JSON has its default. There is a module for each thing that is
asked, of which `versions` is imported by its own name; `values` and `problems` are what several of them hold.
"""

from .definitions import DefinitionList, DefinitionStored, DefinitionSummary, DefinitionView
from .instances import (
    ApprovalView,
    AttemptCalls,
    CallsView,
    Cause,
    Explanation,
    InstanceView,
    KeptSignal,
    PartsView,
    StepView,
)
from .leases import (
    Acknowledged,
    ClaimedStep,
    ClaimedSteps,
    CompleteBody,
    FailBody,
    HeartbeatAnswer,
    HeartbeatBody,
    StepReport,
    StepReportResult,
    StepReportResults,
    StepReports,
)
from .problems import Problem, Violation
from .recordings import RecordingList, RecordingView, ReplayDifference, ReplayView
from .starts import StartAnswer, StartBody, StartItem, StartItems, StartResult, StartResults
from .steering import (
    DecisionBody,
    FailedInstance,
    FailedList,
    ReasonBody,
    RetryBody,
    RetryResult,
    RetryResults,
    SignalBody,
)
from .values import Call, ErrorInfo, Labels, NonNegative, NonNegativeFloat, Reason, ShortText, Usage

__all__ = [
    "Acknowledged",
    "ApprovalView",
    "AttemptCalls",
    "Call",
    "CallsView",
    "Cause",
    "ClaimedStep",
    "ClaimedSteps",
    "CompleteBody",
    "DecisionBody",
    "DefinitionList",
    "DefinitionStored",
    "DefinitionSummary",
    "DefinitionView",
    "ErrorInfo",
    "Explanation",
    "FailBody",
    "FailedInstance",
    "FailedList",
    "HeartbeatAnswer",
    "HeartbeatBody",
    "InstanceView",
    "KeptSignal",
    "Labels",
    "NonNegative",
    "NonNegativeFloat",
    "PartsView",
    "Problem",
    "Reason",
    "ReasonBody",
    "RecordingList",
    "RecordingView",
    "ReplayDifference",
    "ReplayView",
    "RetryBody",
    "RetryResult",
    "RetryResults",
    "ShortText",
    "SignalBody",
    "StartAnswer",
    "StartBody",
    "StartItem",
    "StartItems",
    "StartResult",
    "StartResults",
    "StepReport",
    "StepReportResult",
    "StepReportResults",
    "StepReports",
    "StepView",
    "Usage",
    "Violation",
]
