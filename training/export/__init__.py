"""From a trained model to the ONNX graph of the contract."""
