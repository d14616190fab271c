"""What clusters have to keep, measured: throughput, the limit, and a killed worker."""
