"""Lanes: direct connections that carry steps from an engine to the Runners, beside Ray's own calls.

Ray Serve places the Runners, watches and replaces them; the steps themselves go over a socket. Measured on two cores,
with a Runner that does nothing, a call through a Serve handle costs 2.5 ms of CPU and 2 ms of latency; the same through
a lane costs 0.2 ms of either.
"""
