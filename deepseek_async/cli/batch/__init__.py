"""The commands for batches: ``deepseek-async batch ...``."""
