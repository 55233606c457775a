//! A made-up node: a procfs with one process, and the root that it runs in.

use super::*;
use crate::source::kubelet_version::{build_info, elf};
use std::fs;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

const PROCESS: ProcessId = ProcessId { pid: 7, start_ticks: 42 };
const NAMED: &str = "path\tk8s.io/kubernetes/cmd/kubelet\nmod\tk8s.io/kubernetes\tv1.37.2\th1:A2VDE=\n";
const UNNAMED: &str = "path\tk8s.io/kubernetes/cmd/kubelet\nmod\tk8s.io/kubernetes\t(devel)\t\nbuild\t-trimpath=true\n";
const STATUS: &str = "Package: kubelet\nStatus: install ok installed\nVersion: 1.31.2-1.1\n";

struct Node {
    directory: TempDir,
    procfs: Procfs,
    root: Root,
    known: Known,
}

impl Node {
    /// A node whose process runs `executable`, if there is one.
    fn new(executable: Option<&str>) -> Self {
        let directory = TempDir::new().unwrap();
        let (proc, root) = (directory.path().join("proc"), directory.path().join("root"));
        fs::create_dir_all(proc.join("7")).unwrap();
        fs::create_dir_all(&root).unwrap();
        fs::write(proc.join("7/stat"), format!("7 (kubelet) S 1 {}42 0\n", "0 ".repeat(17))).unwrap();
        if let Some(executable) = executable {
            symlink(root.join(executable.trim_start_matches('/')), proc.join("7/exe")).unwrap();
        }
        let (procfs, root) = (Procfs::open(&proc).unwrap(), Root::open(&root).unwrap());
        Self { directory, procfs, root, known: Known::default() }
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.directory.path().join("root").join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // A new file, as whoever installs one makes it.
        fs::remove_file(&path).ok();
        fs::write(path, content).unwrap();
    }

    fn write_program(&self, path: &str, modules: &str) {
        self.write(path, &elf::tests::file(".go.buildinfo", &build_info::tests::section(modules), false));
    }

    fn told(&mut self) -> Told {
        let version = read(&self.procfs, PROCESS, Some(&self.root), &self.root, &mut self.known)?;
        Some((version.release.as_str().to_owned(), version.origin.unwrap()))
    }
}

/// A release and what told it.
type Told = Option<(String, VersionOrigin)>;

#[test]
fn the_running_file_comes_before_the_package_and_this_before_the_node_image() {
    let mut node = Node::new(Some("/usr/bin/kubelet"));
    assert_eq!(node.told(), None, "nothing is there");
    node.write("/kind/version", b"v1.30.1\n");
    assert_eq!(node.told(), Some(("v1.30.1".to_owned(), VersionOrigin::NodeImage)));
    node.write("/var/lib/dpkg/status", STATUS.as_bytes());
    node.write_program("/usr/bin/kubelet", UNNAMED);
    assert_eq!(node.told(), Some(("v1.31.2".to_owned(), VersionOrigin::Package)));
    node.write_program("/usr/bin/kubelet", NAMED);
    assert_eq!(node.told(), Some(("v1.37.2".to_owned(), VersionOrigin::BuildInfo)));
}

#[test]
fn a_package_tells_only_of_its_own_file() {
    let mut node = Node::new(Some("/usr/local/bin/kubelet"));
    node.write("/var/lib/dpkg/status", STATUS.as_bytes());
    node.write_program("/usr/local/bin/kubelet", UNNAMED);
    node.write_program("/usr/bin/kubelet", UNNAMED);
    assert_eq!(node.told(), None);
}

#[test]
fn a_file_is_read_once_for_as_long_as_it_runs() {
    let mut node = Node::new(Some("/usr/bin/kubelet"));
    node.write("/var/lib/dpkg/status", STATUS.as_bytes());
    node.write_program("/usr/bin/kubelet", UNNAMED);
    assert_eq!(node.told(), Some(("v1.31.2".to_owned(), VersionOrigin::Package)));
    // The next release is being installed: not yet what runs.
    node.write("/var/lib/dpkg/status", STATUS.replace("1.31.2", "1.32.0").as_bytes());
    assert_eq!(node.told(), Some(("v1.31.2".to_owned(), VersionOrigin::Package)));
    node.write_program("/usr/bin/kubelet", &format!("{UNNAMED}build\tCGO_ENABLED=0\n"));
    assert_eq!(node.told(), Some(("v1.32.0".to_owned(), VersionOrigin::Package)));
}

#[test]
fn a_package_that_is_still_being_installed_is_asked_again() {
    let mut node = Node::new(Some("/usr/bin/kubelet"));
    node.write("/var/lib/dpkg/status", STATUS.replace("ok installed", "ok half-configured").as_bytes());
    node.write_program("/usr/bin/kubelet", UNNAMED);
    assert_eq!(node.told(), None);
    assert_eq!(node.told(), None);
    node.write("/var/lib/dpkg/status", STATUS.as_bytes());
    assert_eq!(node.told(), Some(("v1.31.2".to_owned(), VersionOrigin::Package)));
}

#[test]
fn another_process_and_a_file_that_is_none_tell_nothing() {
    let mut node = Node::new(Some("/usr/bin/kubelet"));
    node.write_program("/usr/bin/kubelet", NAMED);
    let other = ProcessId { start_ticks: 43, ..PROCESS };
    assert_eq!(read(&node.procfs, other, None, &node.root, &mut node.known), None);
    assert_eq!(Node::new(Some("/usr/bin")).told(), None, "a directory or nothing");
    let mut pipe = Node::new(Some("/pipe"));
    nix::unistd::mkfifo(&pipe.directory.path().join("root/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(pipe.told(), None);
    let mut huge = Node::new(Some("/huge"));
    huge.write_program("/huge", NAMED);
    let file = fs::OpenOptions::new().write(true).open(huge.directory.path().join("root/huge")).unwrap();
    file.set_len(1 << 33).unwrap();
    assert_eq!(huge.told(), Some(("v1.37.2".to_owned(), VersionOrigin::BuildInfo)), "what follows is not read");
}

#[test]
fn a_node_image_names_a_release_or_nothing() {
    let mut node = Node::new(None);
    for text in ["v1.30.1 v1.31.0", "latest", "", "v1.30.1\u{1b}[31m"] {
        node.write("/kind/version", text.as_bytes());
        assert_eq!(node.told(), None, "{text:?}");
    }
    node.write("/kind/version", b"v1.30.1-alpha.2\n");
    assert_eq!(node.told(), Some(("v1.30.1-alpha.2".to_owned(), VersionOrigin::NodeImage)));
}
