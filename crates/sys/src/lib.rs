//! What weyr asks of the kernel: mappings, shared objects, futexes, process liveness.
