"""The built-in toy checkpoint, and all that is needed to make it again."""

from __future__ import annotations

from pathlib import Path

CHECKPOINT = Path(__file__).with_name("checkpoint")
"""The directory of the built-in checkpoint, in Hugging Face format."""
