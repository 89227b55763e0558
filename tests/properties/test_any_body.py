"""Any JSON as the body of a run request."""

from __future__ import annotations

import contextlib

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowray.errors import InvalidRequestError
from flowray_serve.bodies.run import RunBody, run_body

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fields=st.dictionaries(st.sampled_from(["a", *RunBody.model_fields]), JSON))
def test_any_run_body_is_read_or_refused_by_name(fields: dict[str, object]) -> None:
    with contextlib.suppress(InvalidRequestError):
        run_body(orjson.dumps(fields))
