"""A checkpoint behind FastAPI and a transformers pipeline, as in the first pages of their documentation.

python -m benchmarks.servers.peers.fastapi_pipeline CHECKPOINT MAX_TOKENS PORT
"""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline


class AnalyzeRequest(BaseModel):
    """One comment."""

    text: str


checkpoint, max_tokens, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
classifier = pipeline("text-classification", model=checkpoint, truncation=True, max_length=max_tokens)
app = FastAPI()


@app.post("/analyze")
def analyze(request: AnalyzeRequest) -> dict[str, Any]:
    """Classify one comment in one of FastAPI's threads."""
    return dict(classifier(request.text)[0])


@app.get("/health")
def health() -> dict[str, str]:
    """Answer once the model is loaded."""
    return {"status": "ready"}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
