"""What is in a file, packed or not."""

import gzip
import hashlib
from io import BufferedReader
from pathlib import Path


def open_content(path: Path) -> BufferedReader | gzip.GzipFile:
    """Open a file's content: what a `.gz` unpacks to, any other file as it is."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def sha256(path: Path) -> str:
    """Give the sum of a file's content; raises OSError, EOFError or zlib.error where a `.gz` is damaged."""
    with open_content(path) as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
