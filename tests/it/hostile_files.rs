//! What if a container's files lie? Its root holds links to the machine's secrets, FIFOs and huge files where highwater reads.

use crate::fake_proc::{DOCKERD, FakeProc, HOST_CONTAINERD, HOST_KUBELET, node_containerd, node_kubelet, prow_node};
use highwater::access::socket::ReplyLimits;
use highwater::agent::runtimes::{Runtimes, ask_all};
use highwater::agent::usage::Usage;
use highwater::agent::{Sampler, SamplerOptions};
use highwater::assess::{State, assess};
use highwater::sample::{AbsenceReason, KubeletVersion, LayerSample, Sample, Source, VersionOrigin};
use highwater::time::Timestamp;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const SECRET: &str = "root:$6$secret";
const CONFIG: &str =
    "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nimageGCHighThresholdPercent: 90\n";

/// A node whose containers have roots in a temporary directory; node 0 is well, node 1 is for the test to spoil.
struct Machine {
    directory: TempDir,
    proc: FakeProc,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { directory: TempDir::new().unwrap(), proc: FakeProc::new() };
        prow_node(&machine.proc, 2, 0);
        fs::create_dir(machine.path("host")).unwrap();
        fs::write(machine.path("host/shadow"), SECRET).unwrap();
        for (name, pids) in [
            ("host", vec![HOST_CONTAINERD, HOST_KUBELET]),
            ("dind", vec![DOCKERD]),
            ("node0", vec![node_containerd(0), node_kubelet(0)]),
            ("node1", vec![node_containerd(1), node_kubelet(1)]),
        ] {
            let root = machine.path(name);
            for directory in [
                "var/lib/containerd/io.containerd.snapshotter.v1.overlayfs",
                "var/lib/docker",
                "var/lib/kubelet",
                "run/containerd",
            ] {
                fs::create_dir_all(root.join(directory)).unwrap();
            }
            fs::write(root.join("var/lib/kubelet/config.yaml"), CONFIG).unwrap();
            for pid in pids {
                machine.proc.set_root(pid, &root);
            }
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn node(&self, path: &str) -> PathBuf {
        self.path("node1").join(path)
    }

    /// Replaces something in node 1 by a symbolic link.
    fn link(&self, path: &str, target: impl AsRef<Path>) {
        self.clear(path);
        symlink(target, self.node(path)).unwrap();
    }

    fn clear(&self, path: &str) {
        let path = self.node(path);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
    }

    /// One round, and what runtimes say.
    fn look(&self) -> Sample {
        let (runtimes, usage) = (Arc::new(Runtimes::new()), Arc::new(Usage::new()));
        let options = SamplerOptions { procfs: self.proc.path().to_owned(), rootfs: self.path("host"), files_every: 1 };
        let mut sampler = Sampler::new(options, Arc::clone(&runtimes), usage).unwrap();
        sampler.round(Timestamp::from_micros(1_000_000));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(ask_all(&runtimes, &ReplyLimits::default()));
        let sample = sampler.round(Timestamp::from_micros(2_000_000)).sample;
        let (assessment, _) = assess(&sample, State::default());
        let everything = format!("{sample:?} {assessment:?}");
        assert!(!everything.contains("secret"), "nothing of a secret is kept: {everything}");
        sample
    }
}

fn layer(sample: &Sample, number: u32) -> &LayerSample {
    sample.layers.iter().find(|layer| layer.runtime.as_ref().is_some_and(|r| r.pid == node_containerd(number))).unwrap()
}

fn reason(layer: &LayerSample, source: Source) -> Option<AbsenceReason> {
    layer.sources.iter().find(|s| s.source == source).unwrap().state.absence().map(|absence| absence.reason)
}

/// Node 0 and everything outer is as if node 1 were not there.
fn others_are_well(sample: &Sample) {
    assert_eq!(sample.layers.len(), 4);
    for other in sample.layers.iter().filter(|other| other.id != layer(sample, 1).id) {
        assert_eq!(reason(other, Source::Statfs), None, "{}", other.id);
    }
    assert_eq!(reason(layer(sample, 0), Source::KubeletConfig), None);
}

#[test]
fn a_well_node_is_read() {
    let machine = Machine::new();
    let sample = machine.look();
    others_are_well(&sample);
    assert_eq!(reason(layer(&sample, 1), Source::Statfs), None);
    let config = layer(&sample, 1).kubelet.as_ref().unwrap().config.value().unwrap().clone();
    assert_eq!(config.file.unwrap().settings.image_gc_high_threshold_percent, Some(90));
}

#[test]
fn a_configuration_that_is_a_link_out_of_the_container_is_not_followed() {
    let machine = Machine::new();
    let outside = machine.path("host/shadow");
    for (target, expected) in [
        (PathBuf::from("/etc/shadow"), AbsenceReason::Gone),
        (outside, AbsenceReason::Gone),
        (PathBuf::from("../../../../host/shadow"), AbsenceReason::Gone),
        (PathBuf::from("/proc/1/root/etc/shadow"), AbsenceReason::Gone),
    ] {
        machine.link("var/lib/kubelet/config.yaml", &target);
        let sample = machine.look();
        assert_eq!(reason(layer(&sample, 1), Source::KubeletConfig), Some(expected), "{}", target.display());
        others_are_well(&sample);
    }
}

#[test]
fn a_secret_inside_the_container_itself_is_not_quoted() {
    let machine = Machine::new();
    fs::create_dir(machine.node("etc")).unwrap();
    fs::write(machine.node("etc/shadow"), SECRET).unwrap();
    machine.link("var/lib/kubelet/config.yaml", "/etc/shadow");
    let sample = machine.look();
    assert_eq!(reason(layer(&sample, 1), Source::KubeletConfig), Some(AbsenceReason::Malformed));
    others_are_well(&sample);
}

#[test]
fn magic_links_of_a_proc_inside_the_container_are_refused() {
    let machine = Machine::new();
    // A real procfs cannot be mounted by every test; the machine's own root has one.
    machine.proc.remove(node_kubelet(1));
    let again = FakeProc::new();
    prow_node(&again, 2, 0);
    let entry = node_kubelet(1).to_string();
    let argv = "kubelet\0--config=/proc/self/root/etc/passwd\0";
    fs::write(again.path().join(&entry).join("cmdline"), argv).unwrap();
    fs::rename(again.path().join(&entry), machine.proc.path().join(&entry)).unwrap();
    machine.proc.set_root(node_kubelet(1), Path::new("/"));
    let sample = machine.look();
    assert_eq!(reason(layer(&sample, 1), Source::KubeletConfig), Some(AbsenceReason::Unsafe));
}

#[test]
fn a_fifo_a_directory_or_ten_gigabytes_are_no_configuration() {
    let machine = Machine::new();
    let path = "var/lib/kubelet/config.yaml";
    machine.clear(path);
    mkfifo(&machine.node(path), Mode::S_IRWXU).unwrap();
    assert_eq!(reason(layer(&machine.look(), 1), Source::KubeletConfig), Some(AbsenceReason::Unsafe));
    machine.clear(path);
    fs::create_dir(machine.node(path)).unwrap();
    assert_eq!(reason(layer(&machine.look(), 1), Source::KubeletConfig), Some(AbsenceReason::Unsafe));
    machine.clear(path);
    File::create(machine.node(path)).unwrap().set_len(10 << 30).unwrap();
    let sample = machine.look();
    assert_eq!(reason(layer(&sample, 1), Source::KubeletConfig), Some(AbsenceReason::TooLarge));
    others_are_well(&sample);
}

#[test]
fn an_image_directory_that_leads_out_of_the_container_is_not_measured() {
    let machine = Machine::new();
    let host = machine.path("host");
    for target in [host.as_path(), Path::new("/etc/shadow"), Path::new("/proc/1/root"), Path::new("../../../host")] {
        machine.link("var/lib/containerd", target);
        let sample = machine.look();
        assert_eq!(reason(layer(&sample, 1), Source::Statfs), Some(AbsenceReason::Gone), "{}", target.display());
        others_are_well(&sample);
    }
    machine.clear("var/lib/containerd");
    mkfifo(&machine.node("var/lib/containerd"), Mode::S_IRWXU).unwrap();
    assert_eq!(reason(layer(&machine.look(), 1), Source::Statfs), Some(AbsenceReason::Gone));
}

#[test]
fn a_run_directory_that_leads_out_of_the_container_reaches_no_socket_of_the_machine() {
    let machine = Machine::new();
    let socket = machine.path("host/run/containerd/containerd.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let run = machine.path("host/run");
    for target in [run.as_path(), Path::new("/proc/1/root/run"), Path::new("/etc/shadow"), Path::new("../host/run")] {
        machine.link("run", target);
        // The machine's own layer would connect to it: it has none in this test.
        machine.proc.remove(HOST_CONTAINERD);
        let sample = machine.look();
        assert_eq!(reason(layer(&sample, 1), Source::Cri), Some(AbsenceReason::Gone), "{}", target.display());
        assert!(listener.accept().is_err(), "nobody connected by way of {}", target.display());
        let again = FakeProc::new();
        prow_node(&again, 0, 0);
        let entry = HOST_CONTAINERD.to_string();
        fs::rename(again.path().join(&entry), machine.proc.path().join(&entry)).unwrap();
        machine.proc.set_root(HOST_CONTAINERD, &machine.path("host"));
    }
}

#[test]
fn a_kubelet_root_directory_that_leads_out_of_the_container_is_not_measured() {
    let machine = Machine::new();
    fs::rename(machine.node("var/lib/kubelet"), machine.node("var/lib/kept")).unwrap();
    symlink(machine.path("host"), machine.node("var/lib/kubelet")).unwrap();
    let sample = machine.look();
    assert_eq!(reason(layer(&sample, 1), Source::KubeletConfig), Some(AbsenceReason::Gone));
    others_are_well(&sample);
}

/// What is told of the release of a layer's kubelet.
fn version(sample: &Sample, runtime: u32) -> Option<KubeletVersion> {
    let is_wanted = |layer: &&LayerSample| layer.runtime.as_ref().is_some_and(|r| r.pid == runtime);
    sample.layers.iter().find(is_wanted).unwrap().kubelet.as_ref().unwrap().version.clone()
}

#[test]
fn a_package_database_or_executable_that_lies_costs_its_own_layer_only() {
    const STATUS: &str = "Package: kubelet\nStatus: install ok installed\nVersion: 1.31.2-1.1\n";
    let machine = Machine::new();
    for (name, pid, status) in [
        ("host", HOST_KUBELET, STATUS.to_owned()),
        ("node1", node_kubelet(1), STATUS.replace("1.31.2", "1.20.0\u{1b}[31m")),
    ] {
        let root = machine.path(name);
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::create_dir_all(root.join("var/lib/dpkg")).unwrap();
        fs::write(root.join("usr/bin/kubelet"), "\u{7f}ELF\u{2}\u{1}").unwrap();
        fs::write(root.join("var/lib/dpkg/status"), status).unwrap();
        symlink(root.join("usr/bin/kubelet"), machine.proc.path().join(format!("{pid}/exe"))).unwrap();
    }
    let told = Some(KubeletVersion { release: "v1.31.2".into(), origin: Some(VersionOrigin::Package) });
    let check = |what: &str| {
        let sample = machine.look();
        assert_eq!(version(&sample, HOST_CONTAINERD), told, "{what}");
        assert_eq!(version(&sample, node_containerd(1)), None, "{what}");
        others_are_well(&sample);
    };
    check("an escape sequence in a version");
    machine.link("var/lib/dpkg/status", machine.path("host/var/lib/dpkg/status"));
    check("a link out of the container");
    machine.clear("var/lib/dpkg/status");
    mkfifo(&machine.node("var/lib/dpkg/status"), Mode::S_IRWXU).unwrap();
    check("a FIFO");
    // A new package is installed, and the old file runs still.
    fs::rename(machine.path("host/usr/bin/kubelet"), machine.path("host/usr/bin/kubelet.old")).unwrap();
    fs::write(machine.path("host/usr/bin/kubelet"), "another file").unwrap();
    let exe = machine.proc.path().join(format!("{HOST_KUBELET}/exe"));
    fs::remove_file(&exe).unwrap();
    symlink(machine.path("host/usr/bin/kubelet.old"), &exe).unwrap();
    assert_eq!(version(&machine.look(), HOST_CONTAINERD), None, "an upgraded package, while the old file runs");
}
