"""Builds the server from its settings, runs it and stops it in order: the only place that builds things."""

import asyncio
import gc
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import final

import msgspec
import prometheus_client
import uvloop
from grpc_health.v1 import health

from models.errors import DeviceMissing
from models.probe import probe
from models.repository import Repository
from models.trial import check_device
from server.catalogue import Catalogue, State
from server.control import Control
from server.engine import Engine
from server.limits import Limits, Totals
from server.loader import Loader
from server.log import log_to_stderr
from server.metrics import Metrics
from server.room import Room
from server.rpc.health import Health
from server.rpc.inbox import Inbox
from server.rpc.inference import InferenceService
from server.rpc.library import reflection
from server.rpc.methods import SERVICE, handler
from server.rpc.transport import TransportMissing, check_transport, chosen, open_transport
from server.scheduler import Scheduler
from server.sessions import Sessions
from server.settings import Settings, read_settings
from server.stores.base import StateStore
from server.stores.device import place_for
from server.types import ModelKey

logger = logging.getLogger(__name__)

OK, FAILED, WRONG = 0, 1, 2
# Requests leave no cycles behind; the default of 700 objects would look for them every few batches.
COLLECT_AFTER = 50_000
# Longer than a request is on its way: gRPC drops what comes as it closes the port, without a word.
LINGER_SECONDS = 0.25


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Serve until a signal; returns the exit code: 2 where a setting cannot be used."""
    settings = read_settings(arguments, environment)
    try:
        check_device(settings.device)
    except DeviceMissing as error:
        sys.stderr.write(f"server: --device: {error}\n")
        return WRONG
    try:
        check_transport(settings.transport)
    except TransportMissing as error:
        sys.stderr.write(f"server: --transport: {error}\n")
        return WRONG
    log_to_stderr(settings.log_level)
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the package leaves it untyped
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(check(settings) if settings.command == "check" else serve(settings))


async def check(settings: Settings) -> int:
    """Load every model as serving would, and print which would serve and within which limits."""
    app = App(settings)
    await app.loader.poll()
    sys.stdout.writelines(f"{line}\n" for line in report(app.catalogue, settings, sorted(app.loader.awaited)))
    return FAILED if app.catalogue.refused() or app.loader.awaited else OK


def report(catalogue: Catalogue, settings: Settings, missing: Sequence[str]) -> Iterator[str]:
    """Write what would serve, a line for each version, model and total."""
    says = {State.SERVING: "serves", State.REFUSED: "refused: {}", State.UNLOADED: "not loaded: {}"}
    standings = catalogue.standings()
    for key, standing in standings.items():
        yield f"{key.name} {key.version}: {says[standing.state].format(standing.reason)}"
    for name in missing:
        yield f"{name}: refused: --load names it and it is not in the repository"
    for name in dict.fromkeys(key.name for key in standings):
        yield f"{name}: limits: {_listed(settings.limits(name))}"
    yield f"all models: limits: {_listed(settings.totals)}"
    for name in sorted(set(settings.models).difference(key.name for key in standings)):
        yield f"{name}: the configuration file has a table for it, and it is not in the repository"
    if not catalogue.served():
        absent = "" if settings.repository.is_dir() else ": it is not a folder"
        yield f"no model in {settings.repository} would serve{absent}"


def _listed(limits: Limits | Totals) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in msgspec.structs.asdict(limits).items())


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
    except CannotListen as error:
        logger.critical("cannot listen", extra={error.purpose: error.address})
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


class CannotListen(Exception):  # noqa: N818  named after what happened
    """An address that cannot be listened on, and the flag that named it."""

    def __init__(self, purpose: str, address: str) -> None:
        super().__init__(f"cannot listen on {address}")
        self.purpose = purpose
        self.address = address


@final
class App:
    """Everything built and connected, nothing started."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.catalogue = Catalogue()
        self.metrics = Metrics()
        self.scheduler = Scheduler(settings.limits, max_queue=settings.totals.max_total_queue)
        self.engine = Engine(self.scheduler, self.catalogue, self.metrics)
        room = Room(self.catalogue, settings.limits, settings.totals)
        self.sessions = Sessions(self.engine, self.catalogue, self.metrics, room, admission=self._admission)
        self.health = Health(self.catalogue)
        self.loader = Loader(
            Repository(settings.repository),
            self.catalogue,
            self.sessions,
            settings,
            changed=self._changed,
            probe=partial(probe, device=settings.device),
            place=place_for(settings.device),
            left=room.left,
        )
        inbox = Inbox(self.sessions, self.metrics, settings.limits)
        control = Control(self.loader, self.catalogue, explicit=settings.control == "explicit")
        self.service = InferenceService(inbox, self.catalogue, self.metrics, control, settings.limits)

    async def start(self) -> None:
        """Load the models, then listen; raises CannotListen where an address is taken or is none of this machine's."""
        self._transport = open_transport(
            self.settings.transport,
            self.service,
            (handler(self.service), reflection(SERVICE.full_name, health.SERVICE_NAME), self.health.handler),
            self.settings.max_connection_calls,
        )
        await self.health.start()
        await self.loader.poll()
        for name in sorted(self.loader.awaited):
            logger.warning("model to load is not in the repository yet", extra={"model": name})
        if not self.catalogue.served():
            logger.warning("no model serves yet", extra={"repository": self.settings.repository})
        # What was built so far lives as long as the process: the collector need not walk it again.
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)
        host, _, metrics_port = self.settings.metrics.rpartition(":")
        try:
            self._exposition, _ = prometheus_client.start_http_server(int(metrics_port), host, self.metrics.registry)
        except OSError as error:
            raise CannotListen("metrics", self.settings.metrics) from error
        try:
            grpc_port = await self._transport.start(self.settings.listen)
        except OSError as error:
            raise CannotListen("listen", self.settings.listen) from error
        listen = f"{self.settings.listen.rpartition(':')[0]}:{grpc_port}"
        metrics = f"{host}:{self._exposition.server_port}"
        logger.info(
            "serving", extra={"listen": listen, "metrics": metrics, "transport": chosen(self.settings.transport)}
        )

    async def work(self) -> None:
        """Run batches, end idle sequences and follow the repository until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.engine.run(self.sessions))
            tasks.create_task(self.sessions.reap())
            tasks.create_task(self.loader.follow(self.settings.poll_seconds))
            tasks.create_task(self.loader.retirement.follow())

    async def drain(self, stop_now: asyncio.Event) -> None:
        """Refuse what is new, finish what is in flight within the time for it, stop listening."""
        logger.info("draining", extra={"waiting": len(self.scheduler), "sequences": len(self.sessions)})
        await self.health.drain()
        self.service.draining.set()
        hurried, began = asyncio.create_task(stop_now.wait()), time.monotonic()
        # While requests are finished, new ones are still told that the server stops; a closed port would tell nothing.
        finished = asyncio.create_task(self._finish())
        await asyncio.wait(
            (finished, hurried), timeout=self.settings.drain_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        finished.cancel()
        left = max(LINGER_SECONDS, began + self.settings.drain_seconds - time.monotonic())
        graceful = asyncio.create_task(self._transport.stop(left))
        await asyncio.wait((graceful, hurried), return_when=asyncio.FIRST_COMPLETED)
        await self._transport.stop(0)
        hurried.cancel()
        self._exposition.shutdown()

    async def _finish(self) -> None:
        """Finish what was taken, and let every client that is asking hear that the server stops."""
        await self.engine.finished()
        await asyncio.sleep(LINGER_SECONDS)

    def _admission(self, admits: bool) -> None:
        self.metrics.admission(admits=admits)
        asyncio.get_running_loop().create_task(self.health.admission(admits))

    async def _changed(self, key: ModelKey) -> None:
        state = self.catalogue.state(key)
        if key in self.catalogue:
            store = self.catalogue[key].store
            ready = state is State.SERVING
            self.metrics.served(key, _held(store), ready=ready)
            self.metrics.queue(
                key.name, lambda: self.scheduler.waiting(key.name), lambda: self.engine.queue_age(key.name)
            )
        elif state is State.REFUSED:
            self.metrics.refused(key)
        else:
            self.metrics.unloaded(key)
        await self.health.follow(key)


def _held(store: StateStore) -> dict[str, Callable[[], float]]:
    return {
        "sequences": lambda: store.live,
        "state_bytes": lambda: store.used_bytes,
        "arena_slots": lambda: store.arena_slots,
        "arena_bytes": lambda: store.arena_slots * store.slot_bytes,
    }
