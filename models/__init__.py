"""Models: bundle, inference engine, tokenizer, encoders in torch, and ONNX graphs."""
