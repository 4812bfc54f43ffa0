"""A pipeline of which every unit says in which session it was worked on: `OUT_FOLDER`, and Beam's options."""

import os
import pathlib
import sys
import time
import typing

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions


def main(folder: str, options: list[str]) -> None:
    def session(unit: int) -> tuple[int, int]:
        time.sleep(0.1)
        return os.getsid(0), unit

    def write(units_of_session: tuple[int, typing.Iterable[int]]) -> None:
        session, units = units_of_session
        pathlib.Path(folder, str(session)).write_text(" ".join(map(str, sorted(units))))

    with beam.Pipeline(options=PipelineOptions(options)) as pipeline:
        (
            pipeline
            | "Begin" >> beam.Impulse()
            | "MakeUnits" >> beam.FlatMap(lambda _: range(16))
            | "Spread" >> beam.Reshuffle()
            | "NameSession" >> beam.Map(session)
            | "GroupBySession" >> beam.GroupByKey()
            | "Write" >> beam.Map(write)
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
