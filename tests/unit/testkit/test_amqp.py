"""The mistakes that the proxy makes in a client's name are whole frames, on the client's channel."""

from __future__ import annotations

from headrace.testkit.chaos.amqp import NOBODYS_QUEUE, ack_twice, ask_for_a_missing_queue

HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"
ACK = b"\x01\x00\x03\x00\x00\x00\x0d\x00\x3c\x00\x50" + bytes(7) + b"\x05\x00\xce"
PUBLISH = b"\x01\x00\x02\x00\x00\x00\x0b\x00\x3c\x00\x28\x00\x00\x00\x03abc\x00\xce"


def test_an_ack_goes_twice_between_its_neighbours() -> None:
    assert ack_twice(HEARTBEAT + ACK + PUBLISH) == HEARTBEAT + ACK + ACK + PUBLISH


def test_a_question_comes_before_the_publish_on_its_channel() -> None:
    asked = ask_for_a_missing_queue(HEARTBEAT + PUBLISH) or b""

    question = asked.removeprefix(HEARTBEAT).removesuffix(PUBLISH)
    size = int.from_bytes(question[3:7], "big")
    assert question[:3] == PUBLISH[:3]
    assert NOBODYS_QUEUE.encode() in question
    assert (len(question), question[-1:]) == (7 + size + 1, b"\xce")


def test_where_there_is_nothing_to_change_nothing_is_changed() -> None:
    assert (ack_twice(PUBLISH), ask_for_a_missing_queue(ACK)) == (None, None)
