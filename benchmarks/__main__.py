"""All questions about speed and memory, in one table.

Run: python -m benchmarks [--quick] [--peer-python PATH]
"""

from benchmarks import (
    bench_accumulate,
    bench_build,
    bench_first_token,
    bench_leave,
    bench_memory,
    bench_paced,
    bench_requests,
    bench_stream,
)
from benchmarks.command import main

QUESTIONS = tuple(
    module.QUESTION
    for module in (
        bench_stream,
        bench_requests,
        bench_first_token,
        bench_leave,
        bench_paced,
        bench_memory,
        bench_accumulate,
        bench_build,
    )
)

if __name__ == "__main__":
    main(*QUESTIONS)
