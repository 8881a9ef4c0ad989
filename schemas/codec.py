"""The codec: a block of rows becomes messages, messages become events. Reference implementation, row by row.

Writing is in :mod:`schemas.codec_encode`, reading in :mod:`schemas.codec_decode`; this is their one door.
"""

from __future__ import annotations

from schemas.codec_decode import BlockDecoder, UnreadableEventError
from schemas.codec_encode import BlockEncoder, Message
from schemas.values import Verbatim

__all__ = ["BlockDecoder", "BlockEncoder", "Message", "UnreadableEventError", "Verbatim"]
