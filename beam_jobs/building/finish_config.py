"""What the manifest of a run says besides the shards."""

import socket
import time

from beam_jobs.building.build_config import BuildConfig
from beam_jobs.command.versions import software
from transforms.building.finish_shards import FinishConfig


def finish_config(config: BuildConfig, run_id: str) -> FinishConfig:
    """Returns what the manifest of a run says besides the shards."""
    return FinishConfig(
        output=config.output,
        configuration=config.flags,
        software=software(),
        run={"run_id": run_id, "host": socket.gethostname(), "started": time.time()},
    )
