"""Logs: one event a line, whoever writes it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from leasehold.core.app.logs import configure_logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root, before = logging.getLogger(), (logging.getLogger().handlers[:], logging.getLogger().level)
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = before


def test_an_event_is_one_line_of_json_with_its_facts() -> None:
    stream = io.StringIO()
    configure_logs("json", "info", stream=stream)
    structlog.get_logger().info("lane_taken", lane="03", instance_id="03-x")
    event = json.loads(stream.getvalue())
    assert (event["event"], event["lane"], event["instance_id"], event["level"]) == ("lane_taken", "03", "03-x", "info")
    assert event["timestamp"].endswith("Z")


def test_an_exception_stays_within_its_line() -> None:
    stream = io.StringIO()
    configure_logs("json", "info", stream=stream)
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger().exception("unexpected_error")
    assert stream.getvalue().count("\n") == 1
    assert "ValueError: broken" in json.loads(stream.getvalue())["exception"]


def test_what_other_libraries_log_takes_the_same_form() -> None:
    stream = io.StringIO()
    configure_logs("json", "info", stream=stream)
    logging.getLogger("other").warning("careful, %s", "you")
    assert json.loads(stream.getvalue())["event"] == "careful, you"


def test_the_level_hides_what_is_below_it() -> None:
    stream = io.StringIO()
    configure_logs("console", "warning", stream=stream)
    structlog.get_logger().info("quiet")
    logging.getLogger("elastic_transport").info("POST /_bulk")
    structlog.get_logger().warning("loud")
    assert "loud" in stream.getvalue()
    assert "quiet" not in stream.getvalue()
    assert "_bulk" not in stream.getvalue()
