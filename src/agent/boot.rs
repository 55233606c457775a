//! Which boot of which machine is this? So that an agent and a command on one machine know each other.

use crate::access::proc::Procfs;
use crate::untrusted::Label;
use std::path::Path;

/// The kernel's random id of this boot, the same in every container; `None` where the procfs does not show it.
pub fn boot_id(procfs: &Path) -> Option<Label> {
    line(procfs, "sys/kernel/random/boot_id")
}

/// What the kernel calls the node, as uname(2) does; in a pod without hostNetwork that is the name of the pod. `None` where the
/// procfs does not show it.
pub fn node_name(procfs: &Path) -> Option<Label> {
    line(procfs, "sys/kernel/hostname")
}

fn line(procfs: &Path, path: &str) -> Option<Label> {
    // A host name has at most 64 characters.
    let bytes = Procfs::open(procfs).ok()?.read_path(path, 128).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let line = text.trim();
    (!line.is_empty()).then(|| Label::new(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_procfs_without_the_id_has_none() {
        let here = boot_id(Path::new("/proc")).unwrap();
        assert_eq!(here.as_str().len(), 36, "a UUID: {here}");
        let empty = tempfile::TempDir::new().unwrap();
        assert_eq!(boot_id(empty.path()), None);
        assert_eq!(node_name(empty.path()), None);
        std::fs::create_dir_all(empty.path().join("sys/kernel")).unwrap();
        std::fs::write(empty.path().join("sys/kernel/hostname"), "ci-node-7\n").unwrap();
        assert_eq!(node_name(empty.path()), Some("ci-node-7".into()));
        assert_eq!(boot_id(Path::new("/nowhere")), None);
    }
}
