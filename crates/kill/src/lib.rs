//! Test harness of weyr: kill and stop a process at any instruction.
