"""Feature vectors of a dataset's images, by a network in ONNX."""
