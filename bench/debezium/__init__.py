"""The peer: Debezium's source connectors and its JDBC sink on Kafka Connect, tuned as their documentation says."""
