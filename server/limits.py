"""How much a model may hold and how long it may wait, and how much all models together may hold."""

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """What one model may take; each of its versions counts its own sequences.

    Attributes:
        max_batch: rows that run together at most.
        max_chunk_steps: steps of one request's rows at most, and places on a free axis of what begins a sequence.
        max_steps: rows times the longest row's steps of a batch at most; a single chunk that is longer runs alone.
        queue_delay_seconds: how long a batch may wait for more rows.
        max_sequences: live sequences of one version.
        max_state_bytes: bytes of live states of one version; 0 for no limit.
        max_queue: requests that may wait.
        max_queue_seconds: while a request waits longer than this, new ones are refused; 0 for no limit.
        idle_seconds: a sequence without a request for so long is ended.
        max_generated_steps: steps that one request may generate at most.
        max_sequence_steps: steps of one sequence at most, where a model answers when it is complete.
        ended_retention_seconds: how long an ended sequence's last answer is kept for a retry.
    """

    max_batch: int = 256
    max_chunk_steps: int = 16_384
    max_steps: int = 16_384
    queue_delay_seconds: float = 0.0
    max_sequences: int = 100_000
    max_state_bytes: int = 0
    max_queue: int = 10_000
    max_queue_seconds: float = 0.0
    idle_seconds: float = 600.0
    ended_retention_seconds: float = 60.0
    max_generated_steps: int = 4096
    max_sequence_steps: int = 16_384


class Totals(msgspec.Struct, frozen=True):
    """What all models together may take; 0 for no limit.

    Attributes:
        max_total_sequences: live sequences.
        max_total_state_bytes: bytes of live states.
        max_total_queue: requests that may wait.
    """

    max_total_sequences: int = 0
    max_total_state_bytes: int = 0
    max_total_queue: int = 0
