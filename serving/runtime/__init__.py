"""The bundles that are loaded, their workers, and the queue in front of them."""
