"""A run folder: the recipe it belongs to, and what each stage left in it."""

import json
import os
from pathlib import Path
from typing import Any, final

import msgspec

from training.errors import RunInvalid
from training.recipe import Recipe

RECIPE, WEIGHTS, VOCABULARY = "recipe.json", "model.pt", "vocabulary.txt"
GRAPH, STEP, START = "model.onnx", "step.onnx", "start.onnx"
LABELS = "labels.txt"
SOURCE_VOCABULARY = "source_vocabulary.txt"
DATA, RESULT, VERIFIED, PUBLISHED = "data.json", "result.json", "verified.json", "published.json"
INT8_GRAPH, INT8_GOLDEN, QUANTIZED = "int8.onnx", "int8.npz", "quantized.json"

DONE_BY = {"train": RESULT, "export": GRAPH, "verify": VERIFIED, "publish": PUBLISHED, "quantize": QUANTIZED}


@final
class Run:
    """Files appear in it whole; a stage is done when its last file is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def begin(cls, folder: Path, recipe: Recipe) -> "Run":
        """Make the folder for a recipe, or find it as an earlier run left it; what is made of the model may change."""
        folder.mkdir(parents=True, exist_ok=True)
        run = cls(folder)
        if not run.path(RECIPE).exists() or run.recipe != recipe:
            run.write_bytes(RECIPE, msgspec.json.format(msgspec.json.encode(recipe), indent=2) + b"\n")
        return run

    @property
    def recipe(self) -> Recipe:
        """The settings that the run belongs to; raises RunInvalid where the folder is no run."""
        try:
            return msgspec.json.decode(self.path(RECIPE).read_bytes(), type=Recipe)
        except (OSError, msgspec.MsgspecError) as error:
            raise RunInvalid(f"'{self.folder}' is not a run folder: it has no readable {RECIPE}") from error

    def hold_to(self, digest: str) -> None:
        """Note the digest of the data that the run begins with; raises RunInvalid where it has changed since."""
        if not self.path(DATA).exists():
            self.write(DATA, {"digest": digest})
        if json.loads(self.path(DATA).read_bytes())["digest"] != digest:
            raise RunInvalid(
                f"the data has changed since the run '{self.folder}' began; delete that folder to begin anew"
            )

    def path(self, name: str) -> Path:
        """Where a file of the run is."""
        return self.folder / name

    def done(self, stage: str) -> bool:
        """Whether a stage has left its result."""
        return self.path(DONE_BY[stage]).exists()

    def read(self, name: str, stage: str) -> dict[str, Any]:
        """Read a stage's results; raises RunInvalid that names the stage to do first."""
        self.need(stage)
        content: dict[str, Any] = json.loads(self.path(name).read_bytes())
        return content

    def need(self, stage: str) -> None:
        """Raise RunInvalid unless a stage is done."""
        if not self.done(stage):
            raise RunInvalid(f"'{self.folder}' has not come through '{stage}' yet; do that first")

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write results as JSON."""
        self.write_bytes(name, json.dumps(content, indent=2).encode() + b"\n")

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file that a reader sees whole or not at all, whichever of several processes writes it."""
        partial = self.path(f"{name}.{os.getpid()}.partial")
        partial.write_bytes(content)
        partial.replace(self.path(name))
