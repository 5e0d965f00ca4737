"""What the repository has now, and whether that is what was loaded."""

import os
from collections.abc import Iterable
from typing import NamedTuple, final

from models.repository import ModelVersion, Repository
from server.types import ModelKey

# Name, time of change in nanoseconds and bytes of each file of a version.
Stamp = tuple[tuple[str, int, int], ...]


class Found(NamedTuple):
    """A version in the repository, as its files are now."""

    key: ModelKey
    place: ModelVersion
    stamp: Stamp


@final
class Shelf:
    """Looks at the repository, and remembers the files of what was loaded or refused."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._known: dict[ModelKey, Found] = {}

    def look(self, held: Iterable[ModelKey]) -> dict[str, dict[int, Found]]:
        """List what is there, by name and version.

        Args:
            held: versions that are loaded: each is there until its folder is known to be gone, since a disk that
                cannot be read for a while is no reason to let go of a model.
        """
        there: dict[str, dict[int, Found]] = {}
        for place in self._repository.list():
            key = ModelKey(place.name, place.version)
            there.setdefault(key.name, {})[key.version] = Found(key, place, _stamp(place))
        for key in held:
            found = self._known.get(key)
            if found is not None and key.version not in there.get(key.name, {}) and not self._is_gone(found.place):
                there.setdefault(key.name, {})[key.version] = found
        return there

    def remember(self, found: Found) -> None:
        """Know the files of a version that is loaded now."""
        self._known[found.key] = found

    def knows(self, found: Found) -> bool:
        """Whether the files are those that were loaded."""
        return self._known.get(found.key) == found

    def forget(self, key: ModelKey) -> None:
        """Know nothing more of a version."""
        self._known.pop(key, None)

    def _is_gone(self, place: ModelVersion) -> bool:
        try:
            place.folder.stat()
        except (FileNotFoundError, NotADirectoryError):
            return self._repository.root.is_dir()
        except OSError:
            return False
        return False


def _stamp(place: ModelVersion) -> Stamp:
    try:
        with os.scandir(place.folder) as entries:
            return tuple(sorted((entry.name, entry.stat().st_mtime_ns, entry.stat().st_size) for entry in entries))
    except OSError:
        return ()
