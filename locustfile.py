"""What `locust` picks up in a checkout: the packaged locustfile."""

from triton_users.locustfile import TritonLoadUser, TritonStressUser

__all__ = ["TritonLoadUser", "TritonStressUser"]
