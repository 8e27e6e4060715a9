"""Training: photos to shards, shards to a network, a network to a model file."""
