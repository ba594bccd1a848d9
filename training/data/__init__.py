"""From a source of comments to a prepared split."""
