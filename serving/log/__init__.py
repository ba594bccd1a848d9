"""The prediction log and feedback, as the server writes them."""
