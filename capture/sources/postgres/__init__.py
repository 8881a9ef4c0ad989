"""PostgreSQL as a source: pgoutput for the stream, COPY under a known snapshot for the chunks."""
