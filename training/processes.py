"""Which of several processes this is, as torchrun or `fabric run` tells each of them; alone, it is the first of one."""

import os


def is_first() -> bool:
    """Whether this process is the one that shows and writes."""
    return os.environ.get("RANK", "0") == "0"


def on_this_machine() -> int:
    """How many processes train together on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def machines() -> int:
    """How many machines they are on, each with as many."""
    return int(os.environ.get("WORLD_SIZE", "1")) // on_this_machine()
