"""Sentences of film reviews as binary trees, every node with a sentiment from 0 to 4."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.data.series import Parts


@dataclass(frozen=True, slots=True)
class Tree:
    """A node: a token where it has no children, else two children."""

    label: int
    token: str
    children: tuple[Tree, ...]

    def tokens(self) -> list[str]:
        """Give the sentence."""
        return [self.token] if not self.children else [token for child in self.children for token in child.tokens()]


def load_sst(folder: Path) -> Parts[list[Tree]]:
    """Read the three parts as released."""
    train, validation, test = (_read(folder / f"{part}.txt") for part in ("train", "dev", "test"))
    return Parts(train, validation, test, "as released")


def _read(path: Path) -> list[Tree]:
    return [_parse(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _parse(line: str) -> Tree:
    # At spaces alone: a few tokens hold a no-break space.
    nodes: list[list[Tree]] = [[]]
    labels: list[int] = []
    for piece in line.split(" "):
        if piece.startswith("("):
            labels.append(int(piece[1:]))
            nodes.append([])
            continue
        token = piece.rstrip(")")
        for closing in range(len(piece) - len(token)):
            children = tuple(nodes.pop())
            nodes[-1].append(Tree(labels.pop(), "" if closing else token, children if closing else ()))
    (tree,) = nodes[0]
    return tree
