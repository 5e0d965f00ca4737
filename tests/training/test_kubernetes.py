import yaml
from torch.distributed.run import get_args_parser

from tests.conftest import ROOT
from training.cli import parser
from training.recipe import read_recipe

PARTS = {part["kind"]: part for part in yaml.safe_load_all((ROOT / "deploy" / "kubernetes-training.yaml").read_text())}
POD = PARTS["Job"]["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]


def test_its_command_is_one_that_torchrun_and_training_take():
    told = get_args_parser().parse_args(CONTAINER["args"])
    assert (CONTAINER["command"], told.training_script, told.module) == (["torchrun"], "training", True)
    asked = parser().parse_args(told.training_script_args)
    assert read_recipe(asked.recipe).training.batch % int(told.nnodes) == 0
    assert asked.until == "train"


def test_there_are_as_many_pods_as_processes_and_the_first_is_where_they_meet():
    job, told = PARTS["Job"], get_args_parser().parse_args(CONTAINER["args"])
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == int(told.nnodes) * int(told.nproc_per_node)
    assert job["spec"]["completionMode"] == "Indexed"
    name, service = job["metadata"]["name"], PARTS["Service"]
    host, _, port = told.rdzv_endpoint.partition(":")
    assert host == f"{name}-0.{service['metadata']['name']}"
    assert POD["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == {"job-name": name}
    assert [one["port"] for one in service["spec"]["ports"]] == [int(port)]


def test_runs_are_kept_on_a_claim_that_all_pods_write_to():
    claim = PARTS["PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    [volume] = POD["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert CONTAINER["volumeMounts"] == [{"name": volume["name"], "mountPath": "/app/runs"}]
