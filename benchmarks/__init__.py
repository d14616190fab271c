"""How fast the library is, and against what: one question per file, all with ``-m benchmarks``."""
