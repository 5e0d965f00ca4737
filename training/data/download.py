"""One address to one file over HTTP, going on after what the file already has."""

import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError

from training.errors import FetchFailed

OK, PARTIAL, ALL_THERE = 200, 206, 416
CHUNK_BYTES = 1 << 16
TIMEOUT = urllib3.Timeout(connect=10, read=60)

# Told how many bytes are there, and of how many where the server says so.
Moved = Callable[[int, int | None], None]


def open_pool(address: str) -> urllib3.PoolManager:
    """Give the connections that are kept while files are brought, through the proxy that the environment names."""
    retries = urllib3.Retry(0, redirect=5)
    url = urllib3.util.parse_url(address)
    proxy = urllib.request.getproxies().get(url.scheme or "")
    if proxy and not urllib.request.proxy_bypass(url.host or ""):
        return urllib3.ProxyManager(proxy, retries=retries, timeout=TIMEOUT)
    return urllib3.PoolManager(retries=retries, timeout=TIMEOUT)


def download(pool: urllib3.PoolManager, address: str, to: Path, moved: Moved) -> None:
    """Bring what is at an address to a file; a file that has some of it keeps that, whatever ends the download.

    Raises:
        FetchFailed: there is no connection, it was cut, nothing is there, or the file cannot be written.
    """
    have = to.stat().st_size if to.exists() else 0
    # A packed answer would be longer or shorter than what is asked for by its bytes.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with pool.request("GET", address, headers=headers, preload_content=False) as answer:
            if answer.status != ALL_THERE or not have:
                _write(answer, to, _mode(answer, address, have), moved)
    except MaxRetryError as error:
        raise FetchFailed(f"'{address}' cannot be reached: {_reason(error)}; the network, or `--mirror`?") from error
    except HTTPError as error:
        there = to.stat().st_size if to.exists() else 0
        raise FetchFailed(
            f"the connection was cut after {there} bytes of '{address}'; the same command goes on from there"
        ) from error
    except OSError as error:
        raise FetchFailed(f"'{to}' cannot be written: {error.strerror}; the same command goes on from there") from error


def _mode(answer: urllib3.BaseHTTPResponse, address: str, have: int) -> Literal["ab", "wb"]:
    if answer.status == OK:
        return "wb"
    if answer.status != PARTIAL:
        raise FetchFailed(f"'{address}' answers {answer.status} {answer.reason}; is `--mirror` right?")
    return "ab" if answer.headers.get("Content-Range", "").startswith(f"bytes {have}-") else _refuse(address)


def _refuse(address: str) -> Literal["ab"]:
    raise FetchFailed(f"'{address}' answers with other bytes than were asked for; try another `--mirror`")


def _write(answer: urllib3.BaseHTTPResponse, to: Path, mode: Literal["ab", "wb"], moved: Moved) -> None:
    with to.open(mode) as file:
        there, length = file.tell(), answer.headers.get("Content-Length")
        total = there + int(length) if length else None
        for data in answer.stream(CHUNK_BYTES):
            file.write(data)
            there += len(data)
            moved(there, total)


def _reason(error: MaxRetryError) -> str:
    # It begins with the connection, as Python shows it.
    return str(error.reason).partition("): ")[2] or str(error.reason)
