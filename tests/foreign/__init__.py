"""Programs of clients that nobody here wrote, against the simulator; run by .ci/foreign-clients."""
