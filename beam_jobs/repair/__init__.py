"""`photobeam verify --repair`."""
