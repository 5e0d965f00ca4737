"""What one connection may do: how large its messages are, how many calls it has open, how long it says nothing."""

LARGEST_MESSAGE = 64 * 2**20
# A client is asked whether it is there after so long without a word from it, and hung up on where no answer comes.
SILENT_SECONDS, ANSWER_SECONDS = 60.0, 20.0
# How long a new connection has to say that it speaks HTTP/2.
GREETING_SECONDS = 20.0
# Clients may ask as much of the server, but not more often; at gRPC's own 5 minutes it hangs up on usual clients.
ASKED_SECONDS = 10.0


def options(max_calls: int) -> list[tuple[str, int]]:
    """Give gRPC's options for the server's connections, each with at most `max_calls` open calls."""
    return [
        ("grpc.max_receive_message_length", LARGEST_MESSAGE),
        ("grpc.max_send_message_length", LARGEST_MESSAGE),
        # Calls that are reset as soon as they are opened wait for the event loop all the same, with others behind them.
        # What has ended and is not let go yet counts apart, so that a client with its most open is never refused.
        ("grpc.max_concurrent_streams", max_calls),
        ("grpc.http2.max_deallocating_streams", max_calls),
        ("grpc.keepalive_time_ms", round(SILENT_SECONDS * 1000)),
        ("grpc.keepalive_timeout_ms", round(ANSWER_SECONDS * 1000)),
        # What gRPC goes by: it documents the one above alone, and waits a minute without this one.
        ("grpc.http2.ping_timeout_ms", round(ANSWER_SECONDS * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", round(ASKED_SECONDS * 1000)),
        ("grpc.server_handshake_timeout_ms", round(GREETING_SECONDS * 1000)),
        # Two servers on one port would share its clients by chance; the second must fail.
        ("grpc.so_reuseport", 0),
    ]
