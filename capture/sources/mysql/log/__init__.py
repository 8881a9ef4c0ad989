"""The binary log: its events as bytes and as what they say, and places in it. Pure."""
