from dataclasses import dataclass

import msgspec

from training.diagnosis.band import Band
from training.diagnosis.capacity import Capacity
from training.diagnosis.echo import Echo
from training.diagnosis.flow import Flow
from training.diagnosis.gates import Saturation
from training.diagnosis.gradient import Gradient
from training.diagnosis.measure import Diagnosis, Extent
from training.diagnosis.spectrum import Spectrum
from training.diagnosis.table import table

ONE = Band(0.5, 0.5, 0.5)
FOUND = Diagnosis(
    "small",
    "gru",
    True,
    Extent(),
    3,
    4,
    2,
    Spectrum(ONE, [(0.5, 0.1)], 7, whole=True),
    Flow([1, 4], [ONE, Band(0.05, 0.0625, 0.07)], 0.5, whole=True),
    Gradient([ONE, Band(0.1, 0.125, 0.2)]),
    {"z": Saturation(0.25, 0.5)},
    Echo([ONE, Band(0.0, 0.0, 0.0)], 1),
    Capacity(1.5, [1.0, 0.5], 2),
)


@dataclass
class Rows:
    text: str

    def __getitem__(self, name: str) -> str:
        [row] = [row for row in self.text.splitlines() if row.strip().startswith(name)]
        return row


def test_each_measure_is_a_line_in_words():
    rows = Rows(table(FOUND))
    assert "0.500 (0.500 to 0.500) over 7 steps" in rows["spectral radius"]
    assert "0.062: vanishes, x 0.500 a step, halves in 1 steps" in rows["norm"]
    assert "0.5 to 0.12 after 1 steps, x 0.25" in rows["gradient"]
    assert "passed: two states are one after 1 steps" in rows["echo-state"]
    assert "1.5 of at most 2" in rows["memory"]
    assert "25% below 0.1, 50% above 0.9" in rows["gate z"]
    assert rows.text.startswith("small (gru), as trained: 3 sequences of the validation part, 4 steps back")


def test_what_is_found_by_products_what_fails_and_what_is_left_out_is_said():
    found = msgspec.structs.replace(
        FOUND,
        trained=False,
        spectrum=msgspec.structs.replace(FOUND.spectrum, whole=False),
        flow=msgspec.structs.replace(FOUND.flow, whole=False, rate=1.5),
        gates={},
        echo=Echo([ONE, ONE], None),
        capacity=None,
    )
    rows = Rows(table(found))
    assert "as training begins" in rows.text
    assert "largest eigenvalues alone" in rows["spectral radius"]
    assert "explodes, x 1.500 a step, doubles in 1.71 steps; by the power method" in rows["norm"]
    assert "not passed: after 1 steps 0.5 of the distance is left" in rows["echo-state"]
    assert "no number" in rows["memory"]
    assert "names none" in rows["gates"]
