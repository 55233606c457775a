//! The lab that is up: its verbs, and what the machine itself says of its disk.

use crate::facts::Facts;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The lab, for one test at a time. Files that a test has left are removed before and after it.
#[derive(Debug)]
pub(crate) struct Lab {
    facts: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

/// What `stat -f` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) size: u64,
    pub(crate) free: u64,
    pub(crate) available: u64,
    pub(crate) files: u64,
    pub(crate) files_free: u64,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Lab {
    /// # Panics
    ///
    /// When no lab is up.
    pub(crate) fn take() -> Self {
        // Poisoned by a failed test, which has tidied up.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = std::env::var_os("HIGHWATER_LAB_FACTS").expect("HIGHWATER_LAB_FACTS is set: run tests/lab/test");
        let lab = Self { facts: facts.into(), _alone: alone };
        lab.verb(&["unfill"]);
        lab
    }

    /// The truth as last written: by `up`, or by a verb that changed it.
    pub(crate) fn facts(&self) -> Facts {
        let text = std::fs::read(&self.facts).expect("the lab is up");
        serde_json::from_slice(&text).expect("facts.json has the form of facts.rs")
    }

    /// Runs `tests/lab/lab` and returns what it prints.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub(crate) fn verb(&self, words: &[&str]) -> String {
        let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lab");
        output(Command::new(lab).env("LAB_DIR", self.facts().lab_dir).args(words))
    }

    /// Takes that many bytes of the disk at once.
    pub(crate) fn fill(&self, layer: &str, bytes: u64) {
        self.verb(&["fill", layer, &bytes.to_string()]);
    }

    /// What `stat -f` says of the disk now.
    pub(crate) fn space(&self) -> Space {
        let disk = self.facts().disk.mountpoint;
        let text = output(Command::new("stat").args(["-f", "-c", "%S %b %f %a %c %d"]).arg(disk));
        let numbers: Vec<u64> = text.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        let [block, size, free, available, files, files_free] = numbers[..] else { panic!("stat -f: {text}") };
        Space { size: size * block, free: free * block, available: available * block, files, files_free }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A second panic would end the whole run; the next test tidies up as well.
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.verb(&["unfill"]))).ok();
        } else {
            self.verb(&["unfill"]);
        }
    }
}

/// Standard output of a program that must succeed.
///
/// # Panics
///
/// With its standard error when it fails.
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.output().expect("the program can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    let words: Vec<&OsStr> = command.get_args().collect();
    assert!(output.status.success(), "{} {words:?}: {}\n{errors}", command.get_program().display(), output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}
