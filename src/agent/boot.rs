//! Which boot of which machine is this? So that an agent and a command on one machine know each other.

use crate::access::proc::Procfs;
use crate::untrusted::Label;
use std::path::Path;

/// The kernel's random id of this boot, the same in every container; `None` where the procfs does not show it.
pub fn boot_id(procfs: &Path) -> Option<Label> {
    let bytes = Procfs::open(procfs).ok()?.read_path("sys/kernel/random/boot_id", 64).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let id = text.trim();
    (!id.is_empty()).then(|| Label::new(id))
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
        assert_eq!(boot_id(Path::new("/nowhere")), None);
    }
}
