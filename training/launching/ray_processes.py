"""Starts the processes of a run on a Ray cluster, with Ray Train, and again after one was lost.

Ray Train gives each process its place and its GPU, sees when one is lost, ends the others and starts all again; a run
then goes on from its newest checkpoint. Its own checkpoints, metrics and data are not used: a run writes to its folder,
which all machines share.
"""

import logging
import math
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import RayActorError
from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback
from ray.train.backend import Backend
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.config import LoggingConfig
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError
from ray.util import get_node_ip_address
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rephrase.storage.lease import OutputInUseError
from training.launching.processes import POLL_S, ProcessLostError
from training.launching.ray_config import RayTrainConfig
from training.loop.checkpoint import Checkpoints
from training.loop.loss_guard import TrainingStoppedError
from training.loop.stopping import RunStoppedError, StopRequest

# A process that has not asked for so long is gone.
SILENCE_S = 30.0

T = TypeVar("T")
Act = Callable[[StopRequest], T]

# What would only be raised again.
FINAL_ERRORS = (ValueError, OSError, TrainingStoppedError, RunStoppedError, OutputInUseError)


def run_on_ray(acts: Mapping[int, Act[T]], config: RayTrainConfig, folder: Path, stop: StopRequest | None = None) -> T:
    """Call one of `acts` in the processes of a cluster; returns what it returns in the first.

    Args:
        acts: what each process calls, by the number of processes. With several, as many are started as the cluster has
            room for; of a number that none is for, the last ones stay idle.
        folder: that of the run, on a filesystem that all machines share.

    Raises:
        ProcessLostError: more processes were lost than `max_restarts` allows.
        Exception: what `act` raised.
    """
    stop = stop or StopRequest()
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    connected = ray.is_initialized()
    if not connected:
        ray.init(address=config.address)
    executor = ThreadPoolExecutor(1)
    try:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        relay = ray.remote(num_cpus=0, scheduling_strategy=here)(StopRelay).remote()
        trainer = _trainer(partial(_work, dict(acts), relay, folder, Path.cwd()), sorted(acts), config, folder)
        with stop.on_signals():
            # In a thread of its own: Ray would end the run at once on SIGINT.
            fitted = executor.submit(trainer.fit)
            while not _is_done(fitted):
                if stop.signal and not ray.get(relay.set.remote(stop.signal)):
                    # It waits for machines, or has just begun: all there is to save is saved.
                    raise RunStoppedError(stop.signal, max(Checkpoints(folder / "checkpoints").steps(), default=0))
            result: T = fitted.result().return_value
            return result
    except ControllerError as error:
        raise _cause(error) from None
    except WorkerGroupError as error:
        raise ProcessLostError(f"the run was started again {config.max_restarts} times; then: {error}") from None
    finally:
        executor.shutdown(wait=False)
        if not connected:
            ray.shutdown()
        shutil.rmtree(folder / "ray", ignore_errors=True)


class StopRelay:
    """Tells the first process on the cluster, which asks every second, that the run is to stop."""

    def __init__(self) -> None:
        self._signal = 0
        self._asked_at = -math.inf

    def set(self, number: int) -> bool:
        """Whether there is a process that will hear it."""
        self._signal = number
        return time.monotonic() - self._asked_at < SILENCE_S

    def get(self) -> int:
        """The signal, 0 until there is one."""
        self._asked_at = time.monotonic()
        return self._signal


class EndOnFinalErrors(UserCallback):
    """Ends a run whose error would come again, where Ray would start it again; runs in Ray's controller."""

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        errors = list(worker_exceptions.values())
        # Beside a lost process, the errors of the others only follow from it.
        if not any(isinstance(error, RayActorError) for error in errors):
            for error in errors:
                if isinstance(error, FINAL_ERRORS):
                    raise error


class AddressConfig(TorchConfig):
    """Tells the processes where to meet, as `torchrun` does; the training joins them, as it does there."""

    @property
    def backend_cls(self) -> type[Backend]:
        return AddressBackend


class AddressBackend(Backend):
    share_cuda_visible_devices = True

    def on_start(self, worker_group: Any, backend_config: AddressConfig) -> None:
        worker_group.execute(_set_address, *worker_group.execute_single(0, _find_address))


def _find_address() -> tuple[str, int]:
    return get_node_ip_address(), _free_port()


def _free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _set_address(host: str, port: int) -> None:
    os.environ |= {"MASTER_ADDR": host, "MASTER_PORT": str(port)}


def _trainer(work: Callable[[], Any], sizes: list[int], config: RayTrainConfig, folder: Path) -> TorchTrainer:
    return TorchTrainer(
        work,
        torch_config=AddressConfig(),
        scaling_config=ScalingConfig(
            num_workers=sizes[0] if len(sizes) == 1 else (sizes[0], sizes[-1]),
            use_gpu=config.gpus_per_process > 0,
            resources_per_worker={"CPU": config.cpus_per_process, "GPU": config.gpus_per_process},
            # A machine that joins is used after the next restart: one only for its sake would lose the steps since the
            # last checkpoint.
            elastic_resize_monitor_interval_s=math.inf,
        ),
        run_config=RunConfig(
            name="ray",
            storage_path=str(folder),
            failure_config=FailureConfig(max_failures=config.max_restarts),
            callbacks=[EndOnFinalErrors()],
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )


def _work(acts: dict[int, Act[T]], relay: Any, folder: Path, started_in: Path) -> T | None:
    """One process of the run; returns what its act does."""
    context = ray.train.get_context()
    rank, n_started = context.get_world_rank(), context.get_world_size()
    n_processes = max(n for n in acts if n <= n_started)
    if rank >= n_processes:
        return None
    # Ray has changed to a folder of its own, and paths may be relative.
    if started_in.is_dir():
        os.chdir(started_in)
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is not there on {socket.gethostname()}: the folder of the run must be on a filesystem that all "
            "machines share, under the same path"
        )
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(context.get_local_rank()), "WORLD_SIZE": str(n_processes)}
    log = logging.getLogger("training")
    log.setLevel(logging.INFO)
    log.addHandler(logging.StreamHandler(sys.stderr))
    log.propagate = False
    if rank == 0:
        log.info("training in %d processes", n_processes)
    stop = StopRequest()
    if rank == 0:
        threading.Thread(target=_listen, args=(relay, stop), daemon=True).start()
    return acts[n_processes](stop)


def _listen(relay: Any, stop: StopRequest) -> None:
    while True:
        if number := ray.get(relay.get.remote()):
            stop.set(number)
        time.sleep(1)


def _is_done(future: Any) -> bool:
    try:
        future.exception(timeout=POLL_S)
    except TimeoutError:
        return False
    return True


def _cause(error: Exception) -> Exception:
    """The error of the training in those that Ray Train wraps around it."""
    while isinstance(error, ControllerError):
        error = error.controller_failure
    return error
