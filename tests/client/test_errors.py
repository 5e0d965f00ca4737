"""The class of an error, by its reason first and by its code otherwise."""

import pytest

from client import errors


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        ("NOT_FOUND", "SEQUENCE_GONE", errors.SequenceGone),
        ("NOT_FOUND", "MODEL_NOT_FOUND", errors.NotFound),
        ("FAILED_PRECONDITION", "STEP_CONFLICT", errors.StepConflict),
        ("FAILED_PRECONDITION", "STEP_GAP", errors.StepGap),
        ("FAILED_PRECONDITION", "STEP_ALREADY_APPLIED", errors.StepAlreadyApplied),
        ("FAILED_PRECONDITION", "FENCED", errors.Fenced),
        ("FAILED_PRECONDITION", "VERSION_MISMATCH", errors.VersionMismatch),
        ("FAILED_PRECONDITION", "NEW_REASON", errors.Conflict),
        ("INVALID_ARGUMENT", "", errors.InvalidRequest),
        ("ALREADY_EXISTS", "", errors.AlreadyLive),
        ("RESOURCE_EXHAUSTED", "", errors.Full),
        ("UNAVAILABLE", "", errors.Unavailable),
        ("DEADLINE_EXCEEDED", "", errors.Timeout),
        ("DATA_LOSS", "", errors.ServerFault),
    ],
)
def test_each_status_has_its_class(code, reason, kind):
    error = errors.error_of(code, reason, "a sentence", position=3, retry_after_seconds=0.5)
    assert type(error) is kind
    assert (error.code, error.reason, error.position, error.retry_after_seconds) == (code, reason, 3, 0.5)
    assert str(error) == (f"{code} {reason}: a sentence" if reason else f"{code}: a sentence")


def test_every_class_is_in_the_tree_of_the_docstring():
    kinds = [
        value for value in vars(errors).values() if isinstance(value, type) and value.__module__ == errors.__name__
    ]
    assert len(kinds) > 10
    for kind in kinds:
        assert issubclass(kind, errors.ClientError)
        assert kind.__name__ in errors.__doc__
