"""A Flink cluster on 127.0.0.1: a JobManager and TaskManagers of one slot each, by the scripts of deploy/flink."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import typing
import urllib.request

import psutil

SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""For ``JDK_JAVA_OPTIONS``: flags with which JVMs that live for minutes take less processor time."""

_SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "deploy" / "flink" / "flink.sh"


class CannotFetch(Exception):
    """What a cluster consists of is not in the cache, and cannot be fetched; says why."""


class FlinkCluster:
    """A cluster in a folder of its own, on free ports.

    Attributes:
        master: address, ``HOST:PORT``, for ``--flink_master``.
        url: of the REST interface.
        job_server_jar: for ``--flink_job_server_jar``.
    """

    def __init__(self, folder: pathlib.Path, taskmanagers: int = 2, restart_attempts: int = 1) -> None:
        """Starts it. A TaskManager that is killed costs several attempts: each step misses what it had on its disk.

        Raises:
            CannotFetch: there is no Java, no Maven or no network.
            AssertionError: it cannot be started; says why.
        """
        self._folder = folder
        self._environment = os.environ | {"FLINK_DIR": str(folder), "FLINK_TASKMANAGERS": str(taskmanagers)}
        self._environment |= {"FLINK_REST_PORT": "0", "FLINK_RPC_PORT": "0"}
        self._environment |= {
            "JDK_JAVA_OPTIONS": SHORT_LIVED,
            "PYTHON": sys.executable,
            "FLINK_RESTART_ATTEMPTS": str(restart_attempts),
        }
        fetched = self._script("fetch", check=False)
        if fetched.returncode:
            raise CannotFetch(fetched.stderr)
        self._script("start")
        self.job_server_jar = self._script("jar").stdout.strip()
        self.master = (folder / "address").read_text().strip()
        self.url = f"http://{self.master}"

    def __enter__(self) -> "FlinkCluster":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._script("stop")
        assert not self.processes(), f"the cluster has stopped, and left processes behind: {self.processes()}"

    @property
    def taskmanagers(self) -> dict[int, int]:
        """The process identifiers of the TaskManagers that run, by number. Their workers are in their sessions."""
        files = sorted((self._folder / "pid").glob("taskmanager-*"))
        pids = {int(file.name.partition("-")[2]): int(file.read_text()) for file in files}
        running = {process.pid for process in self.processes()}
        return {number: pid for number, pid in pids.items() if pid in running}

    def kill_taskmanager(self, number: int) -> None:
        """Kills the process of a TaskManager, but not its Python worker."""
        os.kill(self.taskmanagers[number], signal.SIGKILL)

    def add_taskmanager(self) -> None:
        """Starts one more TaskManager, and waits until it can be given work."""
        self._script("add_taskmanager")

    def logs(self) -> str:
        """What all processes have logged, workers included."""
        return "".join(file.read_text(errors="replace") for file in sorted((self._folder / "log").iterdir()))

    def ask(self, path: str) -> typing.Any:
        """Returns what the REST interface has at a path."""
        with urllib.request.urlopen(self.url + path, timeout=10) as response:
            return json.load(response)

    def processes(self) -> list[psutil.Process]:
        """All processes that were started by this cluster, whoever is their parent by now."""
        return [process for process in psutil.process_iter() if self._is_mine(process)]

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("FLINK_CONF_DIR") == str(self._folder / "conf")
        except psutil.Error:
            return False

    def _script(self, command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run([_SCRIPT, command], env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0 or not check, f"{_SCRIPT.name} {command}: {done.stderr}"
        return done
