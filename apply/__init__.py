"""Topics -> target: every batch of events becomes one transaction that holds the rows and the checkpoint."""
