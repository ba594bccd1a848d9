"""Fine-tuning an encoder: batches, recipe, loop, checkpoints."""
