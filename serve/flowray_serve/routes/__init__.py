"""The HTTP surface: each module one resource, put together in `application`."""
