"""Fine-tuning speed: our loop and transformers' Trainer."""
