"""`build` that sees within a second that another run has taken its output over."""

import functools
import sys
from unittest import mock

from beam_jobs import build_dataset
from beam_jobs.command import interrupt
from transforms.stores.lease import hold_output

_EXPIRY_S = 1.2


if __name__ == "__main__":
    with mock.patch.object(interrupt, "hold_output", functools.partial(hold_output, expiry_s=_EXPIRY_S)):
        sys.exit(build_dataset.main(sys.argv[1:]))
