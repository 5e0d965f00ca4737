"""What can stop a training job, each in one sentence that says what to do.

TrainingError            exit code 1
├── DataInvalid          data that is missing, empty or not what its kind needs
├── FetchFailed          a download that was cut, is not what was published, or has no room
├── RunInvalid           a run folder that lacks a stage's results, or belongs to other settings or data
├── Diverged             a loss that is no number any more
├── VerificationFailed   an exported graph that differs from the trained model
└── WrongUse             an unknown recipe, key or value: exit code 2
Interrupted              Ctrl-C or SIGTERM, after a checkpoint: exit code 130
"""


class TrainingError(Exception):
    """Any failure of a job; its text is for the person who started it."""


class DataInvalid(TrainingError):
    """Data that is missing, empty or not what its kind needs."""


class FetchFailed(TrainingError):
    """A download that was cut, is not what was published, or has no room."""


class RunInvalid(TrainingError):
    """A run folder that lacks a stage's results, or belongs to other settings or data."""


class Diverged(TrainingError):
    """A loss that is no number any more."""


class VerificationFailed(TrainingError):
    """An exported graph that differs from the trained model."""


class WrongUse(TrainingError):
    """An unknown recipe, key or value."""


class Interrupted(Exception):
    """A signal asked to stop; the checkpoint is written."""
