"""`python -m demo`: train on text, export, verify, publish, serve, stream, stop."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from demo.latency import percentiles
from demo.serving import serving
from demo.streaming import CharacterModel, Stream
from models.repository import DEFAULT
from training.cli import RUNS
from training.data.settings import TextData
from training.data.text import load_text
from training.recipe import read_recipe
from training.run import RESULT, Run

ROOT = Path(__file__).parent.parent
SEED, PROMPT, CHARACTERS, TEMPERATURE = 0, 100, 400, 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the whole demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--text", default="", metavar="FILE", help="your own text (default: Python's documentation)")
    parser.add_argument("--repository", type=Path, default=DEFAULT, metavar="DIR", help="where models are published")
    parser.add_argument("--runs", type=Path, default=RUNS, metavar="DIR", help="where run folders are")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the recipe")
    options = parser.parse_args(arguments)
    if options.text and not Path(options.text).is_file():
        sys.stderr.write(f"demo: TEXT: there is no file '{options.text}'; give the path of a text file\n")
        return 2
    # Your own text is a model of its own, beside the other.
    overrides = [f"data.path={Path(options.text).resolve()}", "name=mytext"] if options.text else []
    overrides += options.set
    say("1. train, export, verify, publish")
    if code := train(overrides, options):
        return code
    recipe = read_recipe("charlm", overrides)
    run = Run(options.runs / f"{recipe.name}-{recipe.digest}")
    say("2. start the server")
    with serving(options.repository) as server:
        sys.stdout.write(f"gRPC on {server.listen}, metrics on http://{server.metrics}/metrics\n")
        assert isinstance(recipe.data, TextData)
        text = load_text(recipe.data, shortest=1)
        with Stream(server.listen, recipe.name) as stream:
            show(CharacterModel(stream), text.held_out, run.read(RESULT, "train"))
        say("5. latency of the requests above, from the server's own histogram")
        for share, seconds in percentiles(server.metrics, recipe.name).items():
            sys.stdout.write(f"p{share:<3} {seconds * 1e3:8.3f} ms\n")
    say("the server has stopped")
    return 0


def train(overrides: Sequence[str], options: argparse.Namespace) -> int:
    """Do the whole job in a process of its own, as a batch job would be; returns its exit code."""
    command = [sys.executable, "-m", "training", "train", "charlm"]
    command += ["--repository", str(options.repository.resolve()), "--runs", str(options.runs.resolve())]
    command += [part for override in overrides for part in ("--set", override)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def show(model: CharacterModel, held_out: str, result: dict[str, float | dict[str, float]]) -> None:
    """Stream the held-out text and then the model's own, and print both."""
    say(f"3. stream {len(held_out):,} held-out characters, the state kept by the server")
    bits = model.score(held_out)
    baselines = result["baselines"]
    assert isinstance(baselines, dict)
    rows = {"this model, served": bits, "this model, in torch": result["held_out"]} | baselines
    for name, value in rows.items():
        sys.stdout.write(f"{name:<22} {value:.3f} bits per character\n")
    say(f"4. go on from the last {PROMPT} of them with {CHARACTERS} more, one step a message on one stream")
    for character in model.generate(held_out[-PROMPT:], CHARACTERS, temperature=TEMPERATURE, seed=SEED):
        sys.stdout.write(character)
        sys.stdout.flush()
    sys.stdout.write("\n")


def say(heading: str) -> None:
    """Print a heading at once, so that it stands before what a subprocess prints."""
    sys.stdout.write(f"\n== {heading}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
