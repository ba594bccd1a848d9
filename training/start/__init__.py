"""A start without labels: clusters of the comments, labels suggested by a model of other comments, and a queue to label."""

UNLABELLED = "this finds clusters of the comments, suggests labels, and writes a queue of comments to label"
SAMPLE, NONE = "sample", "none"
"""Values of --model besides the names of bundles: the model of the sample, or none."""
