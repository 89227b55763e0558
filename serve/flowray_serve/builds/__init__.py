"""What runs in the processes of a service, each built from the plant in its own process."""
