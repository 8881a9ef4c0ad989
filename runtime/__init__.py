"""What every daemon and command needs to run: configuration, clients, logs, metrics, signals, failpoints."""
