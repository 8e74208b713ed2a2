# SPDX-License-Identifier: Apache-2.0
"""The chat with a thousand sockets, a tenth of which do not read."""

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
    """Where the chat is joined."""
    return chat.service + "/chat"


def test_who_reads_hears_all_and_who_does_not_is_dropped(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4_096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4_096, hard), hard))
    with Example(release_binary("chat"), tmp_path / "log") as chat:
        readers = [WebSocket(url(chat)) for _ in range(READERS)]
        # As little room as the kernel gives, so that little is enough to fill it.
        sleepers = [WebSocket(url(chat), receive_buffer=2_048) for _ in range(SLEEPERS)]
        joined = {"http_route": "/chat", "network_protocol_name": "websocket"}

        def all_are_there() -> bool | None:
            now = Metrics(chat.agent)
            counts = [
                now.sum("http_server_upgraded_connections", **joined), now.sum("fanout_subscribers"),
                now.requests(status="101", http_route="/chat"),
            ]
            return counts == [READERS + SLEEPERS] * 3 or None

        poll("all have joined", all_are_there, LIMIT)

        sent = 0
        dropped = {"reason": "slow_consumer"}
        while Metrics(chat.agent).sum("fanout_subscriptions_ended_total", **dropped) < SLEEPERS:
            # As fast as the readers read, so that none of them is too slow.
            for _ in range(20):
                sent += 1
                readers[0].say(TEXT)
                read_until(readers, lambda: all(reader.messages == sent for reader in readers))
            assert sent < 3_000, "those who do not read are not dropped"

        assert all(reader.is_open and reader.messages == sent for reader in readers)

        def all_is_counted() -> Metrics | None:
            now = Metrics(chat.agent)
            lost = now.sum("fanout_messages_total", result="slow_consumer")
            # Each sleeper was offered all until the one that was too much for it.
            is_over = lost == SLEEPERS and now.sum("fanout_subscribers") == READERS
            return now if is_over and now.sum("http_server_active_requests") == 0 else None

        after = poll("each of those who do not read is dropped once", all_is_counted, LIMIT)
        assert READERS * sent < after.sum("fanout_messages_total", result="delivered") < (READERS + SLEEPERS) * sent

        def sleepers_are_gone() -> bool:
            return all(not sleeper.is_open for sleeper in sleepers)

        read_until(sleepers, sleepers_are_gone)
        assert {sleeper.closing for sleeper in sleepers} <= {None, (1008, "too slow")}
        # A connection is one until it is closed.
        poll(
            "their connections are gone",
            lambda: Metrics(chat.agent).sum("http_server_upgraded_connections", **joined) == READERS or None,
        )
        poll(
            "loops beat", lambda: Metrics(chat.agent).sum("nio_event_loop_delay_seconds_count") > 0 or None
        )
        assert promtool_findings(fetch(f"{chat.agent}/metrics")) == ""

        chat.popen.send_signal(signal.SIGTERM)
        read_until(readers, lambda: all(not reader.is_open for reader in readers))
        assert {reader.closing for reader in readers} == {(1001, "")}
        assert chat.wait(LIMIT) == 0
        assert "stopped" in chat.output


def test_who_wakes_up_in_time_reads_why_it_was_dropped(tmp_path: Path) -> None:
    with Example(release_binary("chat"), tmp_path / "log") as chat:
        talker = WebSocket(url(chat))
        closings: set[tuple[int, str] | None] = set()

        def one_reads_why() -> bool | None:
            sleepers = [WebSocket(url(chat), receive_buffer=2_048) for _ in range(100)]
            # One wakes up after each message, so that one does so just after all that sleep were dropped.
            for sent, sleeper in enumerate(sleepers, start=1):
                before = talker.messages
                talker.say(TEXT)
                read_until([talker], lambda before=before: talker.messages > before)  # type: ignore[misc]
                read_until([sleeper], lambda sent=sent, own=sleeper: own.messages == sent or not own.is_open)  # type: ignore[misc]
                closings.add(sleeper.closing)
                sleeper.close()
            # Whoever has been dropped and does not read is cut off a second later, which may be over on a busy machine.
            return (1008, "too slow") in closings or None

        poll("one reads why", one_reads_why, LIMIT)
        assert closings <= {None, (1008, "too slow")}


def test_what_is_no_websocket_is_told_so(tmp_path: Path) -> None:
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

        poll("each is counted", all_are_counted)


def test_a_subscriber_that_leaves_or_talks_nonsense_is_gone(tmp_path: Path) -> None:
    with Example(release_binary("chat"), tmp_path / "log") as chat:
        leaver, talker, listener = (WebSocket(url(chat)) for _ in range(3))
        leaver.send(0x8, b"\x03\xe8")
        talker.send(0x3, b"no such frame")
        listener.say("hello")
        read_until([listener], lambda: listener.messages == 1)
        read_until([leaver, talker], lambda: not leaver.is_open and not talker.is_open)

        def one_is_left() -> bool | None:
            now = Metrics(chat.agent)
            ended = "fanout_subscriptions_ended_total"
            return now.sum("fanout_subscribers") == 1 and now.sum(ended, reason="closed") >= 1 and now.sum(ended) == 2 or None

        poll("one is left", one_is_left)
