"""Ends a worker that is stuck, with its children: the runner then repeats what it had in hand.

Beam's own limit (``--element_processing_timeout_minutes``) works only where the runner asks workers for their status,
which Flink does not, and takes a shard that goes on slowly for one that is stuck. Here a worker is stuck if in all the
limit's time it was in a step, and neither began another nor counted a photo or a line. Then the runner is told why.
A worker that cannot even tell that it lives is killed from outside.
"""

import logging
import os
import subprocess
import sys
import threading
import time
import traceback
import typing

from beam_jobs.runners import kill_silent
from transforms.workers import progress

if typing.TYPE_CHECKING:
    from apache_beam.runners.worker.sdk_worker import SdkHarness
    from apache_beam.runners.worker.statesampler import StateSamplerInfo

_log = logging.getLogger("photobeam")

_TELL_S = 5.0
"""For the runner to hear why."""


class StuckWorker:
    """Watches this process from now on; it becomes the leader of a process group, so that its children end with it.

    Args:
        limit_s: time without any progress after which it ends.
    """

    def __init__(self, limit_s: float):
        self._limit_s = limit_s
        command = [sys.executable, "-I", "-S", kill_silent.__file__, str(os.getpid()), str(limit_s)]
        theirs, self._pipe = os.pipe()
        self._killer = subprocess.Popen(command, stdin=theirs)
        os.close(theirs)
        if os.getpgrp() != os.getpid():
            os.setpgid(0, 0)

    def watch(self, harness: "SdkHarness") -> None:
        """Begins to look at what Beam's worker does."""
        threading.Thread(target=self._watch, args=(harness,), name="watch", daemon=True).start()

    def _watch(self, harness: "SdkHarness") -> None:
        before, quiet_parts = None, 0
        while quiet_parts < kill_silent.PARTS:
            time.sleep(self._limit_s / kill_silent.PARTS)
            os.write(self._pipe, b".")
            steps = _steps(harness)
            now = {bundle: step.transition_count for bundle, step in steps.items()}, progress.counts()
            quiet_parts = quiet_parts + 1 if steps and now == before else 0
            before = now
        _report(harness, steps, self._limit_s)
        time.sleep(_TELL_S)
        os.close(self._pipe)


def _steps(harness: "SdkHarness") -> "dict[str, StateSamplerInfo]":
    """Returns which step each bundle is in; one that waits for its data is in none."""
    bundles = list(harness._bundle_processor_cache.active_bundle_processors.items())
    infos = {bundle: processor.state_sampler.get_info() for bundle, (_, processor) in bundles}
    return {bundle: info for bundle, info in infos.items() if getattr(info.state_name, "step_name", None)}


def _report(harness: "SdkHarness", steps: "dict[str, StateSamplerInfo]", limit_s: float) -> None:
    """Logs where the worker is stuck, and answers its bundles with an error, which the submitter is told."""
    from apache_beam.portability.api import beam_fn_api_pb2

    stacks = sys._current_frames()
    for bundle, step in steps.items():
        where = f"{step.state_name.step_name} in {limit_s / 60:g} min"
        reason = f"the worker on {os.uname().nodename} got nothing done in {where}, and was ended"
        frame = stacks.get(step.tracked_thread.ident) if step.tracked_thread else None
        _log.error("%s\n%s", reason, "".join(traceback.format_stack(frame)) if frame else "")
        harness._responses.put(beam_fn_api_pb2.InstructionResponse(instruction_id=bundle, error=reason))
