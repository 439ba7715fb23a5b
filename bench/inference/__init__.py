"""Predictions and embeddings for a user's images."""
