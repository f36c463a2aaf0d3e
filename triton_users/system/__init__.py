"""What is asked of the operating system: memory, temporary folders, the end of child processes. No Locust."""
