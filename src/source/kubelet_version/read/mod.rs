//! The places that tell a kubelet's release, the surest first.

use super::release::is_release;
use super::{build_info, elf, package, path};
use crate::access::ProcessId;
use crate::access::executable::{Executable, FileStamp};
use crate::access::proc::Procfs;
use crate::access::root::Root;
use crate::sample::{KubeletVersion, VersionOrigin};
use crate::untrusted::Label;
use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What was found out of a kubelet, so that each file is read once.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The file that runs.
    executable: Option<FileStamp>,
    /// What it or its package told.
    version: Option<KubeletVersion>,
    /// The package database that did not: it is read again when it has changed, since a kubelet may be started while its
    /// package is still being installed.
    silent: Option<FileStamp>,
}

const NODE_IMAGE: &str = "/kind/version";

/// The release of a kubelet. `root` is its own root directory, `layer` that of its layer; either may be closed to us. What was
/// `known` before is told again without reading, as long as the process runs the same file. May hang where its files do.
pub fn read(
    procfs: &Procfs,
    process: ProcessId,
    root: Option<&Root>,
    layer: &Root,
    known: &mut Known,
) -> Option<KubeletVersion> {
    match Executable::of(procfs, process) {
        Ok(executable) => {
            let running = executable.stamp();
            if known.executable != Some(running) {
                let version = of_executable(procfs, process, &executable);
                *known = Known { executable: Some(running), version, silent: None };
            }
            if let (None, Some(root)) = (&known.version, root) {
                known.version = told(VersionOrigin::Package, of_package(root, running, &mut known.silent));
            }
        }
        Err(_) => *known = Known::default(),
    }
    known.version.clone().or_else(|| told(VersionOrigin::NodeImage, node_image(layer)))
}

fn of_executable(procfs: &Procfs, process: ProcessId, executable: &Executable) -> Option<KubeletVersion> {
    let build_info = || executable.open().ok().and_then(|file| of_file(&file));
    let path = || procfs.link(process.pid, "exe").ok().and_then(|link| path::release(&link));
    told(VersionOrigin::BuildInfo, build_info()).or_else(|| told(VersionOrigin::Path, path()))
}

fn told(origin: VersionOrigin, release: Option<String>) -> Option<KubeletVersion> {
    Some(KubeletVersion { release: Label::new(&release?), origin: Some(origin) })
}

fn of_file(file: &File) -> Option<String> {
    let read = |offset: u64, length: usize| {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset).ok().map(|()| bytes)
    };
    build_info::release(&elf::section(&read, build_info::SECTION, build_info::LIMIT)?)
}

/// The package, if its file is the one that runs: after an upgrade the old one may run still.
fn of_package(root: &Root, running: FileStamp, silent: &mut Option<FileStamp>) -> Option<String> {
    if root.identity(Path::new(package::FILE)).ok()? != running.id {
        return None;
    }
    let path = Path::new(package::STATUS);
    let status = root.open_file(path).ok()?;
    let stamp = FileStamp::of(&status, path).ok();
    if stamp == *silent {
        return None;
    }
    *silent = stamp;
    package::release(BufReader::with_capacity(64 << 10, status))
}

/// Node images of kind, which Cluster API uses as well, tell their Kubernetes release in a file.
fn node_image(layer: &Root) -> Option<String> {
    let text = String::from_utf8(layer.read_file(Path::new(NODE_IMAGE), 256).ok()?).ok()?;
    Some(text.trim().to_owned()).filter(|text| is_release(text))
}

#[cfg(test)]
mod tests;
