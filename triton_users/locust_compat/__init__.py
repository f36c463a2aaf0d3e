"""The only code that leans on what Locust does not promise."""
