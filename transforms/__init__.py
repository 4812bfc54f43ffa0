"""The stages: PTransforms that wire, and the plain Beam-free functions they call."""
