//! Start-up order only.
fn main() {}
