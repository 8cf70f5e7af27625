//! weyr's managed memory pools: all state in the memory itself, crash-safe.
