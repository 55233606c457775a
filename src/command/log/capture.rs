//! Keeps what is logged, for tests.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// A writer whose copies write to one place.
#[derive(Clone, Default)]
pub(in crate::command) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub(in crate::command) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
