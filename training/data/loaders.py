"""The table of loaders: every published set with the function that reads it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from training.data.published.babi import load_babi
from training.data.published.fsdd import load_fsdd
from training.data.published.japanese_vowels import load_japanese_vowels
from training.data.published.mnist import load_mnist
from training.data.published.multi30k import load_multi30k
from training.data.published.names import load_names
from training.data.published.polymusic import load_polymusic
from training.data.published.santafe_laser import load_santafe_laser
from training.data.published.sst import load_sst
from training.data.published.tinyshakespeare import load_tinyshakespeare
from training.data.published.ud_english_ewt import load_ud_english_ewt

LOADERS: Mapping[str, Callable[[Path], object]] = {
    "names": load_names,
    "polymusic": load_polymusic,
    "mnist": load_mnist,
    "santafe_laser": load_santafe_laser,
    "tinyshakespeare": load_tinyshakespeare,
    "fsdd": load_fsdd,
    "japanese_vowels": load_japanese_vowels,
    "sst": load_sst,
    "babi": load_babi,
    "multi30k": load_multi30k,
    "ud_english_ewt": load_ud_english_ewt,
}
