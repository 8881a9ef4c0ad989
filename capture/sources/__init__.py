"""One folder for each kind of source, the same file names in each."""
