"""How Constant Contact says no (CC facts 4)."""

from keepstep_sandbox.http import Response, answer

INVALID = "contacts.api.validation.error"
NOT_FOUND = "contacts.api.not_found"
CONFLICT = "contacts.api.conflict"


class Refusal(Exception):
    """A request that was refused before anything changed."""

    def __init__(self, status: int, key: str, message: str, shape: str = "array") -> None:
        super().__init__(message)
        self.status, self.key, self.message, self.shape = status, key, message, shape

    def response(self, shape: str) -> Response:
        """The answer in one of the shapes of switch `error_body`; reports and 403 are objects (CC facts 4)."""
        shape = self.shape if shape == "array" else shape
        body = {"error_key": self.key, "error_message": self.message}
        if shape == "html":
            page = f"<html><body><h1>{self.status}</h1></body></html>"
            return Response(self.status, {"Content-Type": "text/html; charset=utf-8"}, page.encode())
        if shape == "gateway":
            return answer(self.status, {"message": self.message})
        return answer(self.status, body if shape == "object" else [body])


def invalid(message: str) -> Refusal:
    """400: malformed or not valid."""
    return Refusal(400, INVALID, message)


def missing(message: str = "The requested resource was not found.") -> Refusal:
    """404."""
    return Refusal(404, NOT_FOUND, message)


def conflict(message: str) -> Refusal:
    """409."""
    return Refusal(409, CONFLICT, message)


def forbidden() -> Refusal:
    """403: the scope or the user's privilege is missing (CC facts 4); the body is not documented."""
    return Refusal(403, "forbidden", "Forbidden", shape="object")


def unauthorized() -> Response:
    """401, always an object (CC facts 2.3)."""
    return answer(401, {"error_key": "unauthorized", "error_message": "Unauthorized"})
