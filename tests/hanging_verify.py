"""`verify` whose child processes come to no end."""

import sys
from unittest import mock

from beam_jobs import check_dataset
from tests import crashing
from transforms.verify import verify_dataset, verify_shards

if __name__ == "__main__":
    with (
        mock.patch.object(verify_shards, "_BYTES_A_CHILD", 1),
        mock.patch.object(verify_dataset, "ShardCheck", return_value=crashing.sleep_on),
    ):
        sys.exit(check_dataset.main(sys.argv[1:]))
