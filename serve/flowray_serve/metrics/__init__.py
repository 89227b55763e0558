"""What is measured, from the request that is counted to the text that Prometheus reads."""
