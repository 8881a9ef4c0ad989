"""The chunk merge: rows read by workers, laid between the transactions of the stream. Pure but for the workers."""
