import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.options import BYTES, OPTIONS, SettingError

BAD_TEXTS = {
    "--repository": [""],
    "--listen": ["8001", ":8001", "host:", "host:port", "host:65536", "host:-1", ""],
    "--metrics": ["8002", "host:99999"],
    "--threads": ["0", "x"],
    "--device": ["", "gpu", "CPU", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:99999", "cuda "],
    "--transport": ["", "rust", "Native"],
    "--max-connection-calls": ["0", "2147483648"],
    "--control": ["none", ""],
    "--load": ["../a", "a,,b", ".a"],
    "--poll-seconds": ["0", "x"],
    "--drain-seconds": ["-0.1", "x"],
    "--log-level": ["INFO", "loud", ""],
    "--max-batch": ["0", "-1", "1.5", "many", "", "²", "9" * 5000],
    "--max-steps": ["0"],
    "--queue-delay-seconds": ["-1", "nan"],
    "--max-sequences": ["0", "1e3"],
    "--max-state-bytes": ["2GB", "MiB", "-1", "1.5GiB", "1 kib", ""],
    "--max-queue": ["0"],
    "--max-queue-seconds": ["-0.5", "inf"],
    "--idle-seconds": ["0", "-1", "inf", "nan", "soon", ""],
    "--ended-retention-seconds": ["-1"],
    "--max-chunk-steps": ["0"],
    "--max-generated-steps": ["0", "many"],
    "--max-sequence-steps": ["0", "many"],
    "--versions": ["newest", "0", "1,", "", "-1"],
    "--max-total-sequences": ["-1", "x"],
    "--max-total-state-bytes": ["x"],
    "--max-total-queue": ["-1"],
}
BAD_VALUES = {
    "--listen": [8001, None],
    "--max-batch": ["7", True, 7.0, [7], {}],
    "--max-state-bytes": [1.5, True],
    "--idle-seconds": ["5", True, float("nan")],
    "--load": ["a", [1]],
    "--versions": [2, ["2"], [True], [], [0]],
}
BY_FLAG = {option.flag: option for option in OPTIONS}


def test_every_option_is_tried():
    assert BAD_TEXTS.keys() == BY_FLAG.keys()


@pytest.mark.parametrize(("flag", "text"), [(flag, text) for flag, texts in BAD_TEXTS.items() for text in texts])
def test_wrong_text_is_refused_with_what_is_expected(flag, text):
    with pytest.raises(SettingError, match="expected"):
        BY_FLAG[flag].kind.from_text(text)


@pytest.mark.parametrize(("flag", "value"), [(flag, value) for flag, values in BAD_VALUES.items() for value in values])
def test_a_wrong_toml_value_is_refused_with_what_is_expected(flag, value):
    with pytest.raises(SettingError, match="expected"):
        BY_FLAG[flag].kind.from_toml(value)


@given(st.integers(0, 10**6), st.sampled_from(sorted(BYTES)), st.sampled_from(["", " "]))
def test_bytes_are_read_in_binary_units(count, unit, space):
    assert BY_FLAG["--max-state-bytes"].kind.from_text(f"{count}{space if unit else ''}{unit}") == count * BYTES[unit]


def test_toml_gives_what_text_gives():
    assert BY_FLAG["--max-state-bytes"].kind.from_toml("2GiB") == 2**31
    assert BY_FLAG["--max-state-bytes"].kind.from_toml(5) == 5
    assert BY_FLAG["--idle-seconds"].kind.from_toml(5) == 5.0
    assert BY_FLAG["--versions"].kind.from_toml([3, 2, 3]) == (2, 3)
    assert BY_FLAG["--versions"].kind.from_toml("all") == "all"
    assert BY_FLAG["--load"].kind.from_toml([]) == ()
