"""What batches have to keep, asked of whole jobs: one file for each question."""
