"""What a model is: text normalisation, tokenizer, linear classifier, encoder, ONNX export and the bundle."""
