"""The HTTP application: routes, limits, access, and the request context."""
