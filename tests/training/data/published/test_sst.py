from collections import Counter
from collections.abc import Iterator

from training.data.published.sst import Tree, load_sst


def nodes(tree: Tree) -> Iterator[Tree]:
    yield tree
    for child in tree.children:
        yield from nodes(child)


def test_trees_tokens_nodes_and_labels_are_as_many_as_was_published(data_folder):
    parts = load_sst(data_folder("sst"))
    expected = [
        (parts.train, 8544, 163563, 318582, [1092, 2218, 1624, 2322, 1288]),
        (parts.validation, 1101, 21274, 41447, [139, 289, 229, 279, 165]),
        (parts.test, 2210, 42405, 82600, [279, 633, 389, 510, 399]),
    ]
    for trees, count, tokens, all_nodes, labels in expected:
        assert len(trees) == count
        assert sum(len(tree.tokens()) for tree in trees) == tokens
        assert sum(1 for tree in trees for _ in nodes(tree)) == all_nodes
        roots = Counter(tree.label for tree in trees)
        assert [roots[label] for label in range(5)] == labels


def test_a_node_has_a_token_or_two_children(tmp_path):
    for part in ("train", "dev", "test"):
        (tmp_path / f"{part}.txt").write_text("(3 (2 A) (4 (1 fine\N{NO-BREAK SPACE}one) (0 .)))\n", encoding="utf-8")
    (tree,) = load_sst(tmp_path).train
    fine, stop = Tree(1, "fine\N{NO-BREAK SPACE}one", ()), Tree(0, ".", ())
    assert tree == Tree(3, "", (Tree(2, "A", ()), Tree(4, "", (fine, stop))))
    assert tree.tokens() == ["A", "fine\N{NO-BREAK SPACE}one", "."]
