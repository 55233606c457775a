//! Which drop-ins lie below `--config-dir`, in the order in which the kubelet merges them?
//!
//! Mirrors `cmd/kubelet/app/server.go` mergeKubeletConfigurations: a walk in lexical order, into directories but not
//! into links to directories, of files whose name ends in `.conf`.

use super::file::{self, located};
use crate::access::AccessError;
use crate::access::root::Root;
use crate::sample::{Absence, AbsenceReason, SettingsFile};
use crate::untrusted::Label;
use std::path::Path;

/// Levels below the directory; each costs an open directory.
const MAX_DEPTH: usize = 8;
/// Entries in one directory.
const MAX_ENTRIES: usize = 1_000;
/// Files in all.
const MAX_FILES: usize = 100;
/// Bytes in all.
const MAX_BYTES: usize = 1 << 20;

/// The drop-ins found and what went wrong; a file that cannot be read costs itself.
#[derive(Debug, Default)]
pub(super) struct DropIns {
    pub(super) files: Vec<SettingsFile>,
    pub(super) problems: Vec<Label>,
    /// Why something there could not be read: it may say anything.
    pub(super) unread: Option<Absence>,
    bytes: usize,
}

impl DropIns {
    /// Reads everything below a directory.
    pub(super) fn read(root: &Root, directory: &Path) -> Self {
        let mut found = Self::default();
        found.walk(root, directory, 0);
        found
    }

    fn walk(&mut self, root: &Root, directory: &Path, depth: usize) {
        let listed = root.list(directory, MAX_ENTRIES).and_then(|names| Ok((names, root.directory(directory)?)));
        let (names, handle) = match listed {
            Ok(listed) => listed,
            Err(error) => return self.failed(directory, error),
        };
        for name in names {
            let path = directory.join(&name);
            // A single name below an open directory: nothing is followed, and only the kind of the entry is asked.
            let is_link = nix::fcntl::readlinkat(&handle, name.as_path()).is_ok();
            if !is_link && handle.directory(&name).is_ok() {
                if depth == MAX_DEPTH {
                    self.too_much(&path, "nested too deeply");
                } else {
                    self.walk(root, &path, depth + 1);
                }
            } else if has_extension(&name) {
                if self.files.len() == MAX_FILES {
                    return self.too_much(directory, "more drop-ins than are read");
                }
                self.file(root, &path);
            }
        }
    }

    fn file(&mut self, root: &Root, path: &Path) {
        let label = Label::from(path.to_string_lossy().as_ref());
        let content = match root.read_file(path, MAX_BYTES.saturating_sub(self.bytes)) {
            Ok(content) => content,
            Err(error) => return self.failed(path, error),
        };
        self.bytes += content.len();
        match file::parse(&content) {
            Ok(parsed) if parsed.is_kubelet_configuration => {
                self.problems.extend(parsed.problems.iter().map(|text| located(&label, text)));
                self.files.push(SettingsFile { path: label, settings: parsed.settings });
            }
            Ok(_) => self.problems.push(located(&label, "not a KubeletConfiguration (apiVersion, kind)")),
            Err(error) => self.problems.push(located(&label, &error.to_string())),
        }
    }

    /// What is gone, or cannot be a drop-in, was changed after the kubelet had started.
    fn failed(&mut self, path: &Path, error: AccessError) {
        let absence = Absence::from(error);
        if matches!(absence.reason, AbsenceReason::Gone | AbsenceReason::Unsafe) {
            let label = Label::from(path.to_string_lossy().as_ref());
            self.problems.push(located(&label, &format!("cannot be read: {}", absence.reason.as_str())));
        } else {
            self.unread.get_or_insert(absence);
        }
    }

    fn too_much(&mut self, path: &Path, text: &str) {
        let text = located(&Label::from(path.to_string_lossy().as_ref()), text);
        self.unread.get_or_insert_with(|| Absence::new(AbsenceReason::TooLarge, text.as_str()));
    }
}

/// Go's filepath.Ext is what follows the last dot, also in `.conf` itself.
fn has_extension(name: &Path) -> bool {
    name.to_str().is_some_and(|name| name.rsplit_once('.').is_some_and(|(_, extension)| extension == "conf"))
}
