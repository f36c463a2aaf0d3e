"""What a model is sent and what it must answer: metadata, input data, requests, checks of answers. No Locust."""
