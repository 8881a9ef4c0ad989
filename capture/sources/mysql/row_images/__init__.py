"""Row images of the binary log, read into values in source form: the text that a SELECT gives. Pure."""
