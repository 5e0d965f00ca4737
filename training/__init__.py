"""Trains the architectures of chapter 10 and makes models of the contract: train, export, verify, publish."""
