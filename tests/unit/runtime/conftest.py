"""Property tests of this folder have no deadline: a busy machine is no bug."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("ferryman", deadline=None)
settings.load_profile("ferryman")
