from pathlib import Path

import pytest
from grpc._cython import cygrpc

from server.rpc import connection


@pytest.mark.parametrize("option", [name for name, _ in connection.options(7)])
def test_an_option_is_one_that_grpc_knows(option):
    assert option.encode() + b"\0" in Path(cygrpc.__file__).read_bytes(), "gRPC says nothing of what it ignores"


def test_a_client_is_hung_up_on_when_it_did_not_answer_in_time():
    options = dict(connection.options(7))
    assert options["grpc.keepalive_time_ms"] == 60_000
    assert options["grpc.keepalive_timeout_ms"] == options["grpc.http2.ping_timeout_ms"] == 20_000
    assert options["grpc.max_concurrent_streams"] == 7
