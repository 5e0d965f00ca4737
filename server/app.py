"""Builds the server from its settings, runs it and stops it in order: the only place that builds things."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import final

import grpc
import prometheus_client
import uvloop
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection

from models.repository import Repository
from server.catalogue import Catalogue
from server.engine import Engine
from server.loader import Loader
from server.log import log_to_stderr
from server.metrics import Metrics
from server.rpc.health import Health
from server.rpc.inbox import Inbox
from server.rpc.inference import InferenceService
from server.rpc.transport import SERVICE, handler
from server.scheduler import Scheduler
from server.sessions import Sessions
from server.settings import Settings, read_settings
from server.types import ModelKey

logger = logging.getLogger(__name__)

OK, FAILED = 0, 1
# Requests leave no cycles behind; the default of 700 objects would look for them every few batches.
COLLECT_AFTER = 50_000
LARGEST_MESSAGE = 64 * 2**20
CHANNEL = (
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    # Two servers on one port would share its clients by chance; the second must fail.
    ("grpc.so_reuseport", 0),
)


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Serve until a signal; returns the exit code."""
    settings = read_settings(arguments, environment)
    log_to_stderr(settings.log_level)
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the package leaves it untyped
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(check(settings) if settings.command == "check" else serve(settings))


async def check(settings: Settings) -> int:
    """Load every model as serving would, and print which would serve."""
    app = App(settings)
    await app.loader.poll()
    for model in app.catalogue.served():
        sys.stdout.write(f"{model.key.name} {model.key.version}: serves\n")
    for key, reason in app.catalogue.refused().items():
        sys.stdout.write(f"{key.name} {key.version}: refused: {reason}\n")
    if not app.catalogue.served():
        sys.stdout.write(f"no model in {settings.repository} would serve\n")
    return FAILED if app.catalogue.refused() else OK


async def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, then finish what is in flight; a second signal ends it at once."""
    stop, stop_now = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (stop_now if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    app = App(settings)
    try:
        await app.start()
    except (OSError, RuntimeError):
        logger.exception("cannot listen", exc_info=None, extra={"listen": settings.listen, "metrics": settings.metrics})
        return FAILED
    work = asyncio.create_task(app.work())
    await asyncio.wait((work, asyncio.create_task(stop.wait())), return_when=asyncio.FIRST_COMPLETED)
    await app.drain(stop_now)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    if not work.cancelled() and (failure := work.exception()):
        logger.critical("the engine failed", exc_info=failure)
        return FAILED
    logger.info("stopped")
    return OK


@final
class App:
    """Everything built and connected, nothing started."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        limits = settings.every_model.limits
        self.catalogue = Catalogue()
        self.metrics = Metrics()
        self.scheduler = Scheduler(max_batch=limits.max_batch)
        self.engine = Engine(self.scheduler, self.catalogue, self.metrics)
        self.sessions = Sessions(self.engine, self.catalogue, self.metrics, idle_seconds=limits.idle_seconds)
        self.health = Health(self.catalogue)
        self.loader = Loader(
            Repository(settings.repository),
            self.catalogue,
            threads=settings.threads,
            max_sequences=limits.max_sequences,
            changed=self._changed,
        )
        inbox = Inbox(self.sessions, self.metrics, max_batch=limits.max_batch)
        self.service = InferenceService(
            inbox, self.catalogue, self.metrics, max_batch=limits.max_batch, idle_seconds=limits.idle_seconds
        )

    async def start(self) -> None:
        """Load the models, then listen; raises OSError or RuntimeError where an address is taken."""
        self._server = grpc.aio.server(options=CHANNEL)
        self._server.add_generic_rpc_handlers((handler(self.service),))
        await self.health.start(self._server)
        names = (SERVICE.full_name, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self._server)
        await self.loader.poll()
        if not self.catalogue.served():
            logger.warning("no model serves yet", extra={"repository": self.settings.repository})
        # What was built so far lives as long as the process: the collector need not walk it again.
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)
        host, _, metrics_port = self.settings.metrics.rpartition(":")
        self._exposition, _ = prometheus_client.start_http_server(int(metrics_port), host, self.metrics.registry)
        grpc_port = self._server.add_insecure_port(self.settings.listen)
        await self._server.start()
        listen = f"{self.settings.listen.rpartition(':')[0]}:{grpc_port}"
        logger.info("serving", extra={"listen": listen, "metrics": f"{host}:{self._exposition.server_port}"})

    async def work(self) -> None:
        """Run batches, end idle sequences and follow the repository until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.engine.run(self.sessions))
            tasks.create_task(self.sessions.reap())
            tasks.create_task(self.loader.follow(self.settings.poll_seconds))

    async def drain(self, stop_now: asyncio.Event) -> None:
        """Refuse what is new, finish what is in flight within the time for it, stop listening."""
        logger.info("draining", extra={"waiting": len(self.scheduler), "sequences": len(self.sessions)})
        await self.health.drain()
        self.service.draining.set()
        graceful = asyncio.create_task(self._server.stop(self.settings.drain_seconds))
        hurried = asyncio.create_task(stop_now.wait())
        await asyncio.wait((graceful, hurried), return_when=asyncio.FIRST_COMPLETED)
        await self._server.stop(0)
        hurried.cancel()
        self._exposition.shutdown()

    async def _changed(self, key: ModelKey) -> None:
        if any(model.key == key for model in self.catalogue.served()):
            store = self.catalogue[key].store
            self.metrics.served(key, live=lambda: store.live, slot_bytes=store.slot_bytes)
            self.metrics.queue(key.name, lambda: self.scheduler.waiting(key.name))
        else:
            self.metrics.refused(key)
        await self.health.follow(key)
