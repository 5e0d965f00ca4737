"""A Python client: `client.blocking` for threads, `client.aio` for asyncio, over tritonclient's messages."""
