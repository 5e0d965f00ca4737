"""What can be wrong with a model, each in one sentence for a person.

ModelError
├── ManifestInvalid      a manifest that breaks the contract
├── ModelMissing         no such model or version
├── ModelDamaged         files that are absent or are not what the manifest says
├── ModelUnsupported     a manifest that asks for what this version does not run
├── ImportRefused        a bare graph that does not say all that a manifest must
├── RowsInvalid          rows, steps or lengths that must never reach ONNX Runtime
├── DeviceMissing        a device that this machine does not have
└── GoldenMismatch       a model that does not give its golden answers
"""


class ModelError(Exception):
    """Any fault of a model; its text is safe to show."""


class ManifestInvalid(ModelError):
    """A manifest that breaks the contract."""


class ModelMissing(ModelError):
    """No such model or version in the repository."""


class ModelDamaged(ModelError):
    """Files that are absent, unreadable or not what the manifest says."""


class ModelUnsupported(ModelError):
    """A manifest that asks for what this version does not run."""


class ImportRefused(ModelError):
    """A bare graph that does not say all that a manifest must; the text names the option that tells it."""


class RowsInvalid(ModelError):
    """Rows, steps or lengths that must never reach ONNX Runtime."""


class DeviceMissing(ModelError):
    """A device to run on that is unknown, or that this machine does not have."""


class GoldenMismatch(ModelError):
    """Answers that differ from the golden ones by more than the tolerance."""
