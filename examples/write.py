"""Text from a character model, as it is generated: `python -m examples.write ADDRESS MODEL PROMPT`."""

import asyncio
import sys

from client.aio import Client


async def main(address: str, model: str, prompt: str) -> None:
    """Print 200 characters after the prompt."""
    async with Client(address) as client, client.sequence(model) as text:
        async for answer in text.generate(x=[list(prompt)], max_steps=200, temperature=0.8):
            print(b"".join(answer["y"].ravel()).decode(), end="", flush=True)
    print()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:])) if len(sys.argv) == 4 else sys.exit(__doc__)
