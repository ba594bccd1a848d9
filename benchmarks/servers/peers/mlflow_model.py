"""Save a checkpoint in the form that `mlflow models serve` loads.

python -m benchmarks.servers.peers.mlflow_model CHECKPOINT MAX_TOKENS FOLDER
"""

import sys
from pathlib import Path

import mlflow.transformers
from transformers import AutoTokenizer, pipeline

from commentwise.fileio import atomic_folder

checkpoint, max_tokens, target = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])

if __name__ == "__main__":
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, model_max_length=max_tokens)
    classifier = pipeline("text-classification", model=checkpoint, tokenizer=tokenizer)
    with atomic_folder(target) as folder:
        # Without explicit requirements, MLflow would run the model to infer them.
        mlflow.transformers.save_model(classifier, str(folder), pip_requirements=["torch", "transformers"])
