"""ONNX graphs with one signature, `input_ids, attention_mask -> logits`: linear, encoder, quantised, cascade."""
