"""The parts of `photobeam build`, of which `join`, `doctor`, `reprocess` and `verify --repair` take theirs."""
