"""Fine-tuning a baseline towards the reference."""
