"""Programs that run inside the process they measure and print one JSON document."""
