"""What the flex template starts: `photobeam build` with the template's parameters as flags."""

from beam_jobs.build_dataset import main
from beam_jobs.command.end_process import end_process

if __name__ == "__main__":
    end_process(main)
