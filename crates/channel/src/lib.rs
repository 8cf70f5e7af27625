//! weyr's channels: messages and ownership of memory between threads and processes.
