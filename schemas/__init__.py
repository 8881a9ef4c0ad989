"""The contract between capture and apply: what a change is, as Python, as Avro, as a topic and a key."""
