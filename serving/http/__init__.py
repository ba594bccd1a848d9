"""The HTTP application: declaration of routes, middleware, access, request context."""
