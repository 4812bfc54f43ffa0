"""Brings all references of a stage to one place: the barrier between two stages."""

import typing

import apache_beam as beam


class Gather(beam.PTransform):
    """Combines all elements into one list, in no particular order; an empty input gives one empty list.

    For small references only: the list is held in memory.
    """

    def __init__(self, element_type: type):
        super().__init__()
        self._element_type = element_type

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        """Combines globally."""
        return elements | "ToList" >> beam.combiners.ToList().with_output_types(
            typing.List[self._element_type]  # type: ignore[name-defined]  # noqa: UP006
        )
