"""What clients may ask about models: metadata, configuration, statistics, the index."""

from models.tensors import Shape
from server.catalogue import Catalogue, ServedModel, State
from server.limits import Limits
from server.metrics import Metrics
from server.pb import grpc_service_pb2 as pb
from server.types import ModelKey

PLATFORM = "onnxruntime_onnx"
BACKEND = "onnxruntime"
ANY_SIZE = -1
# The states as the protocol's clients know them.
STATES = {
    State.LOADING: "LOADING",
    State.SERVING: "READY",
    State.RETIRING: "UNLOADING",
    State.REFUSED: "UNAVAILABLE",
    State.UNLOADED: "UNAVAILABLE",
}


def metadata(model: ServedModel, versions: list[int]) -> pb.ModelMetadataResponse:
    """Write the model's own tensors, batch axis first; never states, lengths or reserved ones."""
    tensor = pb.ModelMetadataResponse.TensorMetadata
    manifest = model.manifest
    return pb.ModelMetadataResponse(
        name=model.key.name,
        versions=[str(version) for version in versions],
        platform=PLATFORM,
        inputs=[tensor(name=t.name, datatype=t.dtype, shape=[ANY_SIZE, *_dims(t.shape)]) for t in manifest.inputs],
        outputs=[tensor(name=t.name, datatype=t.dtype, shape=[ANY_SIZE, *_dims(t.shape)]) for t in manifest.outputs],
    )


def config(model: ServedModel, limits: Limits) -> pb.ModelConfigResponse:
    """Write the configuration that clients look for: sequences, the batch's limit, parameters."""
    manifest = model.manifest
    written = pb.ModelConfig(
        name=model.key.name,
        platform=PLATFORM,
        backend=BACKEND,
        max_batch_size=limits.max_batch,
        input=[pb.ModelInput(name=t.name, data_type=f"TYPE_{t.dtype}", dims=_dims(t.shape)) for t in manifest.inputs],
        output=[
            pb.ModelOutput(name=t.name, data_type=f"TYPE_{t.dtype}", dims=_dims(t.shape)) for t in manifest.outputs
        ],
        parameters={name: pb.ModelParameter(string_value=value) for name, value in model.parameters.items()},
    )
    batching = written.sequence_batching
    batching.max_sequence_idle_microseconds = round(limits.idle_seconds * 1e6)
    batching.oldest.max_candidate_sequences = limits.max_batch
    return pb.ModelConfigResponse(config=written)


def statistics(key: ModelKey, metrics: Metrics) -> pb.ModelStatistics:
    """Write counts and times; they are the metrics that Prometheus reads."""
    done = _duration(metrics, "recur_request_duration_seconds", key)
    compute = _duration(metrics, "recur_stage_duration_seconds", key, stage="compute")
    succeeded = round(metrics.sample("recur_requests_total", key, code="OK"))
    stats = pb.InferStatistics(
        success=pb.StatisticDuration(count=succeeded, ns=done.ns),
        fail=pb.StatisticDuration(count=done.count - succeeded),
        queue=_duration(metrics, "recur_stage_duration_seconds", key, stage="queue"),
        compute_input=_duration(metrics, "recur_stage_duration_seconds", key, stage="gather"),
        compute_infer=compute,
        compute_output=_duration(metrics, "recur_stage_duration_seconds", key, stage="scatter"),
    )
    return pb.ModelStatistics(
        name=key.name,
        version=str(key.version),
        last_inference=round(metrics.of(key).last_batch * 1e3),
        inference_count=round(metrics.sample("recur_steps_total", key)),
        execution_count=compute.count,
        inference_stats=stats,
    )


def index(catalogue: Catalogue, *, ready_only: bool) -> pb.RepositoryIndexResponse:
    """List the versions with their states."""
    entry = pb.RepositoryIndexResponse.ModelIndex
    standings = [
        (key, standing)
        for key, standing in catalogue.standings().items()
        if not ready_only or standing.state is State.SERVING
    ]
    return pb.RepositoryIndexResponse(
        models=[
            entry(name=key.name, version=str(key.version), state=STATES[standing.state], reason=standing.reason)
            for key, standing in standings
        ]
    )


def _dims(shape: Shape) -> list[int]:
    return [axis if isinstance(axis, int) else ANY_SIZE for axis in shape]


def _duration(metrics: Metrics, name: str, key: ModelKey, **labels: str) -> pb.StatisticDuration:
    count, seconds = metrics.sample(f"{name}_count", key, **labels), metrics.sample(f"{name}_sum", key, **labels)
    return pb.StatisticDuration(count=round(count), ns=round(seconds * 1e9))
