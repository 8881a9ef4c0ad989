"""The ``ferryman`` command line: what people and CI run before, during and after a migration."""
