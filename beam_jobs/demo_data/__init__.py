"""What `photobeam demo` builds from: a corpus made on the spot, and its server."""
