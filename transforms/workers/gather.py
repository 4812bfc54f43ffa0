"""Brings all references of a stage to one place: the barrier between two stages."""

import typing

import apache_beam as beam


class Gather(beam.PTransform):
    """Combines all elements into one list, in no particular order; an empty input gives one empty list.

    For small references only: the list is held in memory. Beam's own combiner to lists has no type for what it holds
    on the way, which would then be pickled.

    Args:
        element_type: of the elements.
        origin: one element from which all of these come, so that no step is added that has to begin on its own.
    """

    def __init__(self, element_type: type, origin: beam.PCollection):
        super().__init__()
        self._element_type, self._origin = element_type, origin

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        """Groups under one key, together with a mark, so that there is a group even without elements."""
        element = self._element_type
        marked = typing.Tuple[int, typing.Optional[element]]  # type: ignore[valid-type]  # noqa: UP006, UP045
        listed = typing.List[element]  # type: ignore[valid-type]  # noqa: UP006
        keyed = elements | "Key" >> beam.Map(lambda one: (0, one)).with_output_types(marked)
        mark = self._origin | "Mark" >> beam.Map(lambda _: (0, None)).with_output_types(marked)
        return (
            (keyed, mark)
            | beam.Flatten()
            | beam.GroupByKey()
            | "List" >> beam.Map(lambda group: [one for one in group[1] if one is not None]).with_output_types(listed)
        )
