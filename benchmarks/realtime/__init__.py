"""What relays to browsers have to keep, asked of whole processes: one file for each question."""
