"""A page of pictures: what the models of a repository have learnt, in one file that any browser shows."""

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.errors import ModelError
from models.manifest import Manifest
from models.repository import ModelVersion, Repository

# As training publishes them: what was learnt, as its task draws it, and the curve of the learning.
PICTURES = ("learned.png", "learning_curve.png")
HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>What the models have learnt</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
img { max-width: 100%; margin: .5rem 0; }
section { border-top: 1px solid #ccc; padding: 1rem 0; }
</style></head><body>
<h1>What the models have learnt</h1>
"""


def write_page(path: Path, repository: Repository, names: Sequence[str] = ()) -> list[str]:
    """Write the newest version of every model, or of some; gives the names of those that are on the page.

    Raises:
        ModelMissing: a model that was named is not there.
    """
    newest = {place.name: place for place in repository.list()}
    places = [repository.find(name) for name in names] or list(newest.values())
    parts = {place.name: part for place in places if (part := _part(repository, place))}
    path.write_text(HEAD + "".join(parts.values()) + "</body></html>\n", encoding="utf-8")
    return list(parts)


def _part(repository: Repository, place: ModelVersion) -> str:
    """Write a model's part; nothing for one without pictures, or that cannot be read."""
    try:
        manifest = repository.read_manifest(place)
    except ModelError:
        return ""
    images = list(_images(place.folder, manifest))
    title = html.escape(f"{manifest.name} {manifest.version}")
    return f"<section><h2>{title}</h2>\n<p>{_figure(manifest)}</p>\n{''.join(images)}</section>\n" if images else ""


def _figure(manifest: Manifest) -> str:
    measured = manifest.measured
    said = [manifest.architecture]
    said += [f"{measured.metric} {measured.value:.4g}"] if measured.value is not None else []
    said += [f"published {measured.published:.4g}"] if measured.published is not None else []
    return html.escape(", ".join(said))


def _images(folder: Path, manifest: Manifest) -> Iterable[str]:
    for name in PICTURES:
        if name in manifest.files:
            data = base64.b64encode((folder / name).read_bytes()).decode()
            yield f'<img alt="{html.escape(name)}" src="data:image/png;base64,{data}">\n'
