"""The Python client generating, in a process of its own: tritonclient registers the messages of the server's stubs.

`python -m tests.e2e.writing ADDRESS` reads what to generate as JSON, does all of it at once, and prints what came.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from client.blocking import Client
from client.errors import ClientError

MODEL = "characters"


def write(address: str, prompt: str, leave_after: int | None, how: dict[str, Any]) -> dict[str, Any]:
    """Generate after a prompt; where it is left early, one more step shows that the sequence goes on."""
    with Client(address, streamed=True) as client, client.sequence(MODEL) as sequence:
        try:
            answers = list(islice(sequence.generate(x=[list(prompt)], **how), leave_after))
        except ClientError as error:
            return {"error": str(error)}
        if leave_after is not None:
            sequence.step(x=[list("abc")])
        return {
            "text": b"".join(answer["y"].item() for answer in answers).decode(),
            "log_probs": [answer["log_prob"].item() for answer in answers],
            "positions": [answer.position for answer in answers],
            "reasons": [answer.finish_reason for answer in answers],
            "position": sequence.position,
        }


def search(address: str, prompt: str, how: dict[str, Any]) -> dict[str, Any]:
    """Search after a prompt, and do one more step with the end of the best that was found."""
    with Client(address) as client, client.sequence(MODEL) as sequence:
        [answer] = sequence.generate(x=[list(prompt)], **how)
        texts = [
            b"".join(row[:length]).decode() for row, length in zip(answer["y"], answer["beam_length"], strict=True)
        ]
        after = sequence.step(x=[[texts[0][-1]]])
        return {
            "texts": texts,
            "scores": answer["beam_score"].tolist(),
            "reason": answer.finish_reason,
            "positions": [answer.position, after.position],
        }


def done(address: str, job: dict[str, Any]) -> dict[str, Any]:
    if "beam_width" in job["how"]:
        return search(address, job["prompt"], job["how"])
    return write(address, job["prompt"], job["leave_after"], job["how"])


def main(address: str) -> None:
    jobs = json.load(sys.stdin)
    with ThreadPoolExecutor(8) as threads:
        json.dump(list(threads.map(lambda job: done(address, job), jobs)), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
