//! The weyr command.
fn main() {}
