"""How the client's channels are set up, the same for both kinds of gRPC client."""

from collections.abc import Sequence

Options = Sequence[tuple[str, int | str]]

# Large tensors pass, and a server that comes back is found soon; gRPC's own waits grow to minutes.
OPTIONS: Options = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
