"""Every error FlowRay raises on purpose: whose fault, what exactly, what to do, and a stable code.

An error crosses process borders by pickle, so every argument that `__init__` takes is kept in `args`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Fault = Literal["caller", "flow", "component", "service"]


class FlowRayError(Exception):
    """Base of all FlowRay errors.

    `code` is stable and machine readable; `fault` says who can mend it; `status` is its HTTP status.
    """

    code: ClassVar[str] = "internal_error"
    fault: ClassVar[Fault] = "service"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *args: object) -> None:
        super().__init__(message, *args)
        self.message = message

    def __str__(self) -> str:
        return self.message


class FlowFormatError(FlowRayError):
    """The text is not a Langflow export; the message names the place."""

    code = "flow_format"
    fault = "flow"
    status = 422


class FlowTooLargeError(FlowRayError):
    """The document is larger or deeper than the limits allow."""

    code = "flow_too_large"
    fault = "flow"
    status = 413


class FlowInvalidError(FlowRayError):
    """The flow was read, but its findings forbid running it."""

    code = "flow_invalid"
    fault = "flow"
    status = 422


class PlanError(FlowRayError):
    """No plan exists for this flow, for instance a cycle without a loop."""

    code = "plan_impossible"
    fault = "flow"
    status = 422


class MissingPackageError(PlanError):
    """A node imports what no pool's image has. `node` is its id."""

    code = "missing_package"

    def __init__(self, message: str, node: str = "") -> None:
        super().__init__(message)
        self.node = node


class InvalidRequestError(FlowRayError):
    """The request does not fit the flow or the API: the message names field and remedy."""

    code = "invalid_request"
    fault = "caller"
    status = 422


class MalformedJsonError(InvalidRequestError):
    """The body is not JSON; the message names the place."""

    code = "malformed_json"
    status = 400


class RequestTooLargeError(InvalidRequestError):
    """The body is larger than this route reads."""

    code = "request_too_large"
    status = 413


class TweakRefusedError(InvalidRequestError):
    """A tweak names a node or a field that may not be changed."""

    code = "tweak_refused"


class UnauthorizedError(FlowRayError):
    """No API key, or one that is not known."""

    code = "unauthorized"
    fault = "caller"
    status = 403


class ForbiddenError(FlowRayError):
    """The caller is known, but may not do this."""

    code = "forbidden"
    fault = "caller"
    status = 403


class NotFoundError(FlowRayError):
    """The named thing does not exist for this tenant."""

    code = "not_found"
    fault = "caller"
    status = 404


class ConflictError(FlowRayError):
    """The change does not fit what is there, for instance an id or endpoint name in use."""

    code = "conflict"
    fault = "caller"
    status = 409


class OvertakenError(ConflictError):
    """Somebody else has changed the same thing since it was read."""


class StoreUnavailableError(FlowRayError):
    """Redis or the object store did not answer."""

    code = "store_unavailable"
    status = 503


class RunnerUnavailableError(FlowRayError):
    """No Runner could take the step."""

    code = "runner_unavailable"
    status = 503


class SandboxUnavailableError(FlowRayError):
    """The walls cannot be built here; the message names the missing one and the remedy."""

    code = "sandbox_unavailable"
    status = 503


class ImageError(FlowRayError):
    """The environment image is missing or could not be built."""

    code = "environment_image"
    status = 503


class UnknownImageError(ImageError):
    """No environment image has this name, and there is no lock at this path."""

    code = "unknown_image"
    fault = "caller"
    status = 422


class ChannelError(FlowRayError):
    """A sandbox broke the frame protocol."""

    code = "protocol_violation"
    fault = "component"
    status = 500


class SettingsError(FlowRayError):
    """A setting is unknown or out of bounds."""

    code = "settings"
    fault = "caller"
    status = 400
