"""The stress test in Locust's web UI: a tab, a live page, and a start form that says what is wrong with it.

    web.register(environment, lambda: coordinator.reporting, coordinator.set_rate)

once, at Locust's `init`, where there is a web UI.

The pages and their data live under `triton/` beside Locust's own pages, behind the same login.
"""

from triton_users.web.routes import register

__all__ = ["register"]
