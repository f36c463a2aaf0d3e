"""Patches the standard library first, as Locust does, and lends every test the one shared real Triton."""

from gevent import monkey

monkey.patch_all()
