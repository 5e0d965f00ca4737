"""Forty thousand lines of Shakespeare's plays, for a language model of characters."""

from pathlib import Path

from training.data.settings import TextData
from training.data.text import Text, load_text


def load_tinyshakespeare(folder: Path) -> Text:
    """Read it as any text: the last tenth is held out, a twentieth before it validates."""
    return load_text(TextData(path=str(folder / "input.txt"), licence="public domain"), shortest=1)
