"""What the manifest of a run says besides the shards."""

import importlib.metadata
import platform
import socket
import time

from beam_jobs.build_config import BuildConfig
from transforms.finish_shards import FinishConfig

SOFTWARE = ("photobeam", "apache-beam", "pyarrow", "numpy", "scipy", "pillow", "simplejpeg", "duckdb", "aiohttp")
"""Named in the manifest; the bytes of rows and images depend on most of them."""


def finish_config(config: BuildConfig, run_id: str) -> FinishConfig:
    """Returns what the manifest of a run says besides the shards."""
    software = {name: importlib.metadata.version(name) for name in SOFTWARE}
    return FinishConfig(
        output=config.output,
        configuration=config.flags,
        software={**software, "python": platform.python_version()},
        run={"run_id": run_id, "host": socket.gethostname(), "started": time.time()},
    )
