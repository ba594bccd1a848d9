"""What follows from the findings: alerts, feedback as training data, retraining, retention."""
