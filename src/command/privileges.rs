//! Which of root's rights does highwater keep? Those that it needs to read what containers hold; nothing can give it others.
//!
//! Capabilities belong to threads: what is given up before the first thread begins is given up by all of them.

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Roots and files of other processes; folders of other users.
const READ: CapabilitySet = CapabilitySet::SYS_PTRACE.union(CapabilitySet::DAC_READ_SEARCH);

/// Keeps what reading a machine takes. Root still writes where root may by ownership; where one of the paths to be written belongs
/// to somebody else, the right to write anywhere is kept too. Goes on with a warning where nothing can be given up.
pub(super) fn keep_reading(written: &[&Path]) {
    let foreign = written.iter().any(|path| is_foreign(path));
    keep(if foreign { READ | CapabilitySet::DAC_OVERRIDE } else { READ });
}

/// Keeps what reading the files of one's own configuration takes.
pub(super) fn keep_reading_files() {
    keep(CapabilitySet::DAC_READ_SEARCH);
}

fn keep(needed: CapabilitySet) {
    let given_up = set_no_new_privs(true).and_then(|()| {
        let held = capabilities(None)?;
        let kept = CapabilitySets {
            effective: held.effective & needed,
            permitted: held.permitted & needed,
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, kept)
    });
    if let Err(error) = given_up.map_err(io::Error::from) {
        tracing::warn!(%error, "all capabilities are kept: they cannot be given up");
    }
}

/// Whether a file, or the folder that it is to be made in, belongs to another user. A folder that is not there yet is made in the
/// first one above it that is.
fn is_foreign(path: &Path) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    let belongs_to_another = |path: &Path| Some(std::fs::metadata(path).ok()?.uid() != own);
    let folder = || path.ancestors().skip(1).map(or_here).find_map(belongs_to_another);
    belongs_to_another(path) == Some(true) || folder() == Some(true)
}

/// What a path without a folder is relative to.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir, write};

    #[test]
    fn a_path_is_foreign_if_it_or_the_folder_around_it_belongs_to_another_user() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        create_dir(&own).unwrap();
        assert!(!is_foreign(&own));
        assert!(!is_foreign(&own.join("new/deeper/file")));
        if !nix::unistd::geteuid().is_root() {
            // Nobody but root can give a file away; what belongs to root is foreign then.
            assert!(is_foreign(Path::new("/")));
            return;
        }
        let file = own.join("file");
        write(&file, "").unwrap();
        std::os::unix::fs::chown(&file, Some(12_345), None).unwrap();
        assert!(is_foreign(&file));
        assert!(!is_foreign(&own.join("other")));
        std::os::unix::fs::chown(&own, Some(12_345), None).unwrap();
        assert!(is_foreign(&own.join("other")) && is_foreign(&own.join("new/deeper/file")) && is_foreign(&own));
    }
}
