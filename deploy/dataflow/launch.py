"""What the flex template starts: `photobeam build` with the template's parameters as flags."""

import sys

from beam_jobs.build_dataset import main

if __name__ == "__main__":
    sys.exit(main())
