from server.catalogue import Catalogue, ServedModel
from server.limits import Limits
from server.pb import grpc_service_pb2 as pb
from server.types import ModelKey
from tests import zoo
from tests.server.rpc.fakes import service

KEY = ModelKey("sum", 1)


def serving() -> Catalogue:
    catalogue = Catalogue()
    catalogue.add(ServedModel(KEY, zoo.running_sum().manifest("sum"), None, None, {"digest": "sha256:0"}))
    return catalogue


async def test_a_models_configuration_has_its_own_limits():
    limits = {"sum": Limits(max_batch=3, idle_seconds=1.5)}
    served = service(catalogue=serving(), limits=lambda name: limits[name])
    answer = await served.ModelConfig(pb.ModelConfigRequest(name="sum"))
    assert answer.config.max_batch_size == 3
    assert answer.config.sequence_batching.max_sequence_idle_microseconds == 1_500_000
    assert answer.config.sequence_batching.oldest.max_candidate_sequences == 3
    assert answer.config.parameters["digest"].string_value == "sha256:0"


async def test_a_version_that_retires_is_still_described_and_no_longer_listed():
    catalogue = serving()
    catalogue.retire(KEY, "its unloading was asked for")
    served = service(catalogue=catalogue)
    for version in ("", "1"):
        answer = await served.ModelMetadata(pb.ModelMetadataRequest(name="sum", version=version))
        assert (answer.name, list(answer.versions)) == ("sum", [])
        assert (await served.ModelConfig(pb.ModelConfigRequest(name="sum", version=version))).config.name == "sum"
    for request in (pb.ModelStatisticsRequest(), pb.ModelStatisticsRequest(name="sum", version="1")):
        [found] = (await served.ModelStatistics(request)).model_stats
        assert (found.name, found.version) == ("sum", "1")
