from hypothesis import given
from hypothesis import strategies as st

from training.data.generated.reversal import make_reversal


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 30), kinds=st.integers(1, 12))
def test_the_targets_are_the_inputs_from_the_end(seed, steps, kinds):
    made = make_reversal(seed, 3, steps, kinds)
    assert [row[::-1] for row in made.inputs.tolist()] == made.targets.tolist()
    assert 0 <= made.inputs.min() <= made.inputs.max() < kinds == made.kinds
