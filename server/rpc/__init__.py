"""The gRPC side: messages in, messages out."""
