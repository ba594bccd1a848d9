"""Fine-tuning speed of our loop and of transformers' Trainer."""
