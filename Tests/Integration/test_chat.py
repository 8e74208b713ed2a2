# SPDX-License-Identifier: Apache-2.0
"""The chat with a thousand WebSockets, a tenth of which do not read."""

import resource
import signal
import urllib.error
from pathlib import Path

import pytest

from harness import Example, fetch, poll, promtool_findings, release_binary
from live_metrics import Metrics
from websockets import LIMIT, WebSocket, read_until

pytestmark = pytest.mark.compute

READERS, SLEEPERS = 900, 100
TEXT = "x" * 3_000


def url(chat: Example) -> str:
    """The WebSocket URL of the chat."""
    return chat.service + "/chat"


def test_readers_receive_every_message_and_slow_subscribers_are_dropped(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4_096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4_096, hard), hard))
    with Example(release_binary("chat"), tmp_path / "log") as chat:
        readers = [WebSocket(url(chat)) for _ in range(READERS)]
        # The smallest receive buffer that the kernel allows, so that it fills early.
        sleepers = [WebSocket(url(chat), receive_buffer=2_048) for _ in range(SLEEPERS)]
        joined = {"http_route": "/chat", "network_protocol_name": "websocket"}

        def all_have_joined() -> bool | None:
            now = Metrics(chat.agent)
            counts = [
                now.sum("http_server_upgraded_connections", **joined), now.sum("fanout_subscribers"),
                now.requests(status="101", http_route="/chat"),
            ]
            return counts == [READERS + SLEEPERS] * 3 or None

        poll("all have joined", all_have_joined, LIMIT)

        sent = 0
        dropped = {"reason": "slow_consumer"}
        while Metrics(chat.agent).sum("fanout_subscriptions_ended_total", **dropped) < SLEEPERS:
            # At the readers' pace, so that none of them falls behind.
            for _ in range(20):
                sent += 1
                readers[0].send_text(TEXT)
                read_until(readers, lambda: all(reader.messages == sent for reader in readers))
            assert sent < 3_000, "slow subscribers are not dropped"

        assert all(reader.is_open and reader.messages == sent for reader in readers)

        def all_drops_are_counted() -> Metrics | None:
            now = Metrics(chat.agent)
            lost = now.sum("fanout_messages_total", result="slow_consumer")
            # Each sleeper was offered every message up to the one that exceeded its limit.
            is_over = lost == SLEEPERS and now.sum("fanout_subscribers") == READERS
            return now if is_over and now.sum("http_server_active_requests") == 0 else None

        after = poll("each slow subscriber is dropped once", all_drops_are_counted, LIMIT)
        assert READERS * sent < after.sum("fanout_messages_total", result="delivered") < (READERS + SLEEPERS) * sent

        def sleepers_are_gone() -> bool:
            return all(not sleeper.is_open for sleeper in sleepers)

        read_until(sleepers, sleepers_are_gone)
        assert {sleeper.closing for sleeper in sleepers} <= {None, (1008, "too slow")}
        # A connection counts as upgraded until it is closed.
        poll(
            "their connections are gone",
            lambda: Metrics(chat.agent).sum("http_server_upgraded_connections", **joined) == READERS or None,
        )
        poll(
            "event loops report their delay", lambda: Metrics(chat.agent).sum("nio_event_loop_delay_seconds_count") > 0 or None
        )
        assert promtool_findings(fetch(f"{chat.agent}/metrics")) == ""

        chat.popen.send_signal(signal.SIGTERM)
        read_until(readers, lambda: all(not reader.is_open for reader in readers))
        assert {reader.closing for reader in readers} == {(1001, "")}
        assert chat.wait(LIMIT) == 0
        assert "stopped" in chat.output


def test_a_dropped_subscriber_that_reads_in_time_receives_the_reason(tmp_path: Path) -> None:
    with Example(release_binary("chat"), tmp_path / "log") as chat:
        sender = WebSocket(url(chat))
        closings: set[tuple[int, str] | None] = set()

        def one_receives_the_reason() -> bool | None:
            sleepers = [WebSocket(url(chat), receive_buffer=2_048) for _ in range(100)]
            # One sleeper reads after each message, so that one of them does so just after all
            # sleepers were dropped.
            for sent, sleeper in enumerate(sleepers, start=1):
                before = sender.messages
                sender.send_text(TEXT)
                read_until([sender], lambda before=before: sender.messages > before)  # type: ignore[misc]
                read_until([sleeper], lambda sent=sent, own=sleeper: own.messages == sent or not own.is_open)  # type: ignore[misc]
                closings.add(sleeper.closing)
                sleeper.close()
            # A dropped subscriber that does not read is cut off after a second, which a busy
            # machine may need.
            return (1008, "too slow") in closings or None

        poll("one subscriber receives the reason", one_receives_the_reason, LIMIT)
        assert closings <= {None, (1008, "too slow")}


def test_requests_without_an_upgrade_get_an_error_status(tmp_path: Path) -> None:
    with Example(release_binary("chat"), tmp_path / "log") as chat:
        assert b"WebSocket" in fetch(chat.service)
        for path, status in (("/chat", 426), ("/nothing", 404)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                fetch(chat.service + path)
            assert refused.value.code == status

        def all_are_counted() -> bool | None:
            now = Metrics(chat.agent)
            shown = [now.requests(http_route="/", status="200"), now.requests(http_route="/chat", status="426")]
            return shown == [1, 1] and now.requests(status="404") == 1 or None

        poll("each response is counted", all_are_counted)


def test_a_subscriber_that_closes_or_sends_an_invalid_frame_is_removed(tmp_path: Path) -> None:
    with Example(release_binary("chat"), tmp_path / "log") as chat:
        closing_client, sender, listener = (WebSocket(url(chat)) for _ in range(3))
        closing_client.send(0x8, b"\x03\xe8")
        sender.send(0x3, b"no such frame")
        listener.send_text("hello")
        read_until([listener], lambda: listener.messages == 1)
        read_until([closing_client, sender], lambda: not closing_client.is_open and not sender.is_open)

        def one_subscriber_is_left() -> bool | None:
            now = Metrics(chat.agent)
            ended = "fanout_subscriptions_ended_total"
            return now.sum("fanout_subscribers") == 1 and now.sum(ended, reason="closed") >= 1 and now.sum(ended) == 2 or None

        poll("one subscriber is left", one_subscriber_is_left)
