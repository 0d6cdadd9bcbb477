"""Pictures to video: VP9 in WebM, which costs no licence and which every browser plays.

A segment is a file of its own that begins with a key frame, so it can be shown as soon as it is there. The
whole is its segments one after another; nothing is encoded twice.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

MEDIA_TYPE: Final = "video/webm"
_FORMAT: Final = "webm"
_TICKS: Final = 1000  # of WebM, in a second
# One picture in, one packet out: what is small needs no looking ahead.
_OPTIONS: Final = {
    "deadline": "realtime",
    "cpu-used": "5",
    "lag-in-frames": "0",
    "crf": "20",
    "b": "0",
}


@dataclass(frozen=True, slots=True)
class Segment:
    data: bytes
    frames: int
    width: int
    height: int


def segment(pictures: Sequence[NDArray[np.uint8]], *, fps: int) -> Segment:
    """A file of these pictures, which are all of one even size."""
    held = io.BytesIO()
    height, width, _ = pictures[0].shape
    with av.open(held, "w", format=_FORMAT) as file:
        stream = file.add_stream("libvpx-vp9", rate=fps, options=_OPTIONS)
        stream.height, stream.width = height, width
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for picture in pictures:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))
    return Segment(held.getvalue(), len(pictures), width, height)


def joined(segments: Sequence[Segment], *, fps: int) -> bytes:
    """One file that plays them one after another."""
    held = io.BytesIO()
    with (
        av.open(held, "w", format=_FORMAT) as whole,
        av.open(io.BytesIO(segments[0].data), "r") as first,
    ):
        stream = whole.add_stream_from_template(first.streams.video[0])
        before = 0
        for each in segments:
            with av.open(io.BytesIO(each.data), "r") as part:
                start = round(before * _TICKS / fps)
                for packet in part.demux(part.streams.video[0]):
                    if packet.pts is None:  # the end of the segment
                        continue
                    packet.pts += start
                    packet.dts = packet.pts
                    packet.stream = stream
                    whole.mux(packet)
            before += each.frames
    return held.getvalue()
