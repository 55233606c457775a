//! Is each kubelet tied to the runtime, the settings and the disk that it really has, on the distributions that people run? Machines
//! are made up as these put them together; what the rules are is told beside the code that follows them.

use crate::fake_proc::{Fake, FakeProc};
use highwater::access::socket::ReplyLimits;
use highwater::agent::runtimes::{Runtimes, ask_all};
use highwater::agent::usage::Usage;
use highwater::agent::{Sampler, SamplerOptions};
use highwater::assess::{Assessment, State, assess};
use highwater::sample::{AbsenceReason, LayerSample, Sample};
use highwater::time::Timestamp;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1.overlayfs";

struct Machine {
    directory: TempDir,
    proc: FakeProc,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { directory: TempDir::new().unwrap(), proc: FakeProc::new() };
        machine.process(1, 0, "systemd", &["/sbin/init"]);
        machine.directory("var/lib/kubelet").directory(&format!("var/lib/containerd/{SNAPSHOTTER}"));
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn directory(&self, path: &str) -> &Self {
        fs::create_dir_all(self.path(path)).unwrap();
        self
    }

    fn file(&self, path: &str, text: &str) -> &Self {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
        self
    }

    fn process(&self, pid: u32, parent: u32, comm: &str, argv: &[&str]) -> &Self {
        self.proc.add(&Fake { pid, parent, comm, argv, cgroup: "/", depth: 1 });
        self.proc.set_root(pid, self.directory.path());
        self
    }

    /// What is seen in some rounds; the runtimes are asked after the first one.
    fn rounds(&self, count: usize) -> Vec<(Sample, Assessment)> {
        let (runtimes, usage) = (Arc::new(Runtimes::new()), Arc::new(Usage::new()));
        let rootfs = self.directory.path().to_owned();
        let options = SamplerOptions { procfs: self.proc.path().to_owned(), rootfs, files_every: 2 };
        let mut sampler = Sampler::new(options, Arc::clone(&runtimes), usage).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut round = |number: usize| {
            let sample = sampler.round(Timestamp::from_micros(1_000_000 * i64::try_from(number).unwrap())).sample;
            runtime.block_on(ask_all(&runtimes, &ReplyLimits::default()));
            let (assessment, _) = assess(&sample, State::default());
            (sample, assessment)
        };
        (1..=count).map(&mut round).collect()
    }

    fn look(&self) -> (Sample, Assessment) {
        self.rounds(1).remove(0)
    }
}

/// Runtime and kubelet of every layer that has both.
fn driven(sample: &Sample) -> Vec<(u32, u32)> {
    let pids = |layer: &LayerSample| Some((layer.runtime.as_ref()?.pid, layer.kubelet.as_ref()?.pid));
    sample.layers.iter().filter_map(pids).collect()
}

/// The high threshold and what is armed in the first layer.
fn armed((_, assessment): &(Sample, Assessment)) -> (Option<i64>, Vec<&'static str>) {
    let layer = &assessment.layers[0];
    let high = layer.policy.as_ref().map(|policy| policy.image_gc.high.value.get());
    (high, layer.triggers.iter().map(|trigger| trigger.trigger.as_str()).collect())
}

#[test]
fn a_supervisor_is_not_the_kubelet_that_it_starts() {
    for supervisor in ["rke2", "k0s", "node-kubelet"] {
        let machine = Machine::new();
        machine.process(100, 1, supervisor, &["/usr/local/bin/supervisor server", "--config=/no", "--root-dir=/no"]);
        machine.process(110, 100, "containerd", &["containerd", "--address", "/run/own/containerd.sock"]);
        let flags =
            ["kubelet", "--container-runtime-endpoint=unix:///run/own/containerd.sock", "--image-gc-high-threshold=71"];
        machine.process(120, 100, "kubelet", &flags);
        let seen = machine.look();
        assert_eq!(driven(&seen.0), [(110, 120)], "{supervisor}");
        assert_eq!(armed(&seen).0, Some(71), "{supervisor}");
    }
}

#[test]
fn a_kubelet_inside_another_program_has_the_settings_of_that() {
    let k3s = Machine::new();
    k3s.process(100, 1, "k3s-agent", &["/usr/local/bin/k3s agent"]).process(110, 100, "containerd", &["containerd"]);
    k3s.file("etc/rancher/k3s/config.yaml.d/50-rancher.yaml", r#"{"kubelet-arg": ["image-gc-high-threshold=72"]}"#);
    assert_eq!((driven(&k3s.look().0), armed(&k3s.look()).0), (vec![(110, 100)], Some(72)));

    let microk8s = Machine::new();
    let address = "/var/snap/common/run/containerd.sock";
    microk8s.process(100, 1, "containerd", &["containerd", "--address", address]);
    microk8s.process(
        110,
        1,
        "kubelite",
        &["kubelite", "--kubelet-args-file=$SNAP/args", "--kubelet-args-file=/args/kubelet"],
    );
    microk8s.proc.set_environment(110, &["SNAP_COMMON=/var/snap/common"]);
    let arguments = "--container-runtime-endpoint=${SNAP_COMMON}/run/containerd.sock\n--image-gc-high-threshold=73\n";
    microk8s.file("args/kubelet", arguments);
    assert_eq!((driven(&microk8s.look().0), armed(&microk8s.look()).0), (vec![(100, 110)], Some(73)));

    let microshift = Machine::new();
    microshift.directory("var/lib/containers/storage/overlay-images").process(100, 1, "crio", &["crio"]);
    microshift.process(110, 1, "microshift", &["microshift", "run"]);
    let settings = "containerRuntimeEndpoint: unix:///var/run/crio/crio.sock\nimageGCHighThresholdPercent: 74\n";
    microshift.file("var/lib/microshift/resources/kubelet/config/config.yaml", &format!("{HEAD}{settings}"));
    let seen = microshift.look();
    assert_eq!((driven(&seen.0), armed(&seen)), (vec![(100, 110)], (Some(74), vec!["image_gc", "disk_full"])));

    let hyperkube = Machine::new();
    hyperkube.process(100, 1, "containerd", &["containerd"]);
    hyperkube.process(110, 1, "hyperkube", &["/hyperkube", "kubelet", "--image-gc-high-threshold=75"]);
    hyperkube.process(111, 1, "hyperkube", &["/hyperkube", "kube-proxy", "--image-gc-high-threshold=1"]);
    assert_eq!((driven(&hyperkube.look().0), armed(&hyperkube.look()).0), (vec![(100, 110)], Some(75)));
}

#[test]
fn the_runtime_of_a_kubelet_is_the_one_at_its_endpoint_in_every_round() {
    let plain = |endpoint: &str| {
        let machine = Machine::new();
        machine.process(100, 1, "containerd", &["containerd"]).directory("var/lib/docker");
        machine.process(101, 1, "dockerd", &["dockerd"]).file("run/containerd/containerd.sock", "");
        machine.process(110, 1, "kubelet", &["kubelet", "--config=/etc/kubelet.yaml"]);
        machine.file("etc/kubelet.yaml", &format!("{HEAD}containerRuntimeEndpoint: {endpoint}\n"));
        let rounds = machine.rounds(6);
        let first = driven(&rounds[0].0);
        assert!(rounds.iter().all(|(sample, _)| driven(sample) == first), "{endpoint}: it alternates");
        first
    };
    assert_eq!(plain("unix:///run/cri-dockerd.sock"), [(101, 110)]);
    assert_eq!(plain("unix:///var/run/dockershim.sock"), [(101, 110)]);
    assert_eq!(plain("unix:///run/containerd/containerd.sock"), [(100, 110)]);
    assert_eq!(plain("unix:///run/crio/crio.sock"), [], "nobody is there, and no other is taken for it");

    let version_4 = Machine::new();
    version_4.process(100, 1, "containerd", &["containerd"]).process(
        101,
        1,
        "containerd",
        &["containerd", "-c", "/etc/4.toml"],
    );
    version_4.file("etc/4.toml", "version = 4\n[plugins.'io.containerd.server.v1.grpc']\naddress = '/run/four.sock'\n");
    version_4.process(110, 1, "kubelet", &["kubelet", "--container-runtime-endpoint=unix:///run/four.sock"]);
    assert_eq!(driven(&version_4.look().0), [(101, 110)]);

    // A path that nobody tells, but whose listener holds it.
    let held = Machine::new();
    held.process(100, 1, "containerd", &["containerd"]).process(
        101,
        1,
        "containerd",
        &["containerd", "-c", "/etc/x.toml"],
    );
    held.process(110, 1, "kubelet", &["kubelet", "--container-runtime-endpoint=/run/bound.sock"]);
    held.proc.listen(101, 9, "/run/bound.sock");
    fs::create_dir_all(held.proc.path().join("110/net")).unwrap();
    fs::copy(held.proc.path().join("101/net/unix"), held.proc.path().join("110/net/unix")).unwrap();
    assert_eq!(driven(&held.look().0), [(101, 110)]);
}

#[test]
fn settings_that_cannot_be_read_are_unknown_and_arm_nothing_but_the_full_disk() {
    let unreadable: [(&str, &[&str]); 4] = [
        ("kubelet", &["kubelet", "--config=/gone.yaml"]),
        ("k3s-agent", &["k3s agent"]),
        ("kubelite", &["kubelite", "--kubelet-args-file=/gone"]),
        ("microshift", &["microshift", "run"]),
    ];
    for (comm, argv) in unreadable {
        let machine = Machine::new();
        machine.process(100, 1, "containerd", &["containerd"]).process(110, 1, comm, argv);
        // A directory where a file should be.
        machine.directory("etc/rancher/k3s/config.yaml");
        let seen = machine.look();
        assert_eq!(driven(&seen.0), [(100, 110)], "{comm}: the only runtime is its own");
        assert_eq!(armed(&seen), (None, vec!["disk_full"]), "{comm}");
    }
}

#[test]
fn without_a_kubelet_only_a_full_disk_is_armed() {
    let runtimes: [(&str, &[&str]); 3] =
        [("containerd", &["containerd"]), ("dockerd", &["dockerd"]), ("crio", &["crio"])];
    for (comm, argv) in runtimes {
        let machine = Machine::new();
        machine
            .directory("var/lib/docker")
            .directory("var/lib/containers/storage/overlay-images")
            .process(100, 1, comm, argv);
        assert_eq!(armed(&machine.look()), (None, vec!["disk_full"]), "{comm}");
    }
    let machine = Machine::new();
    machine.process(100, 1, "k3s-server", &["k3s server"]).process(110, 1, "containerd", &["containerd"]);
    machine.file("etc/rancher/k3s/config.yaml", "disable-agent: true\n");
    assert_eq!(armed(&machine.look()), (None, vec!["disk_full"]), "a server without an agent");
}

#[test]
fn a_blind_pod_measures_nothing_and_says_why() {
    let machine = Machine::new();
    machine.proc.set_environment(1, &["KUBERNETES_SERVICE_HOST=192.0.2.1"]);
    let seen = machine.look();
    assert_eq!(armed(&seen), (None, vec![]));
    let absence = seen.0.layers[0].imagefs.absence().unwrap();
    assert_eq!(absence.reason, AbsenceReason::Blind);
    assert_eq!(seen.0.filesystems, []);
}

#[test]
fn dockers_images_lie_in_its_root_or_below_the_containerd_that_it_uses() {
    let docker = |features: &str, containerd: bool| {
        let machine = Machine::new();
        machine.directory("srv/docker").directory(&format!("srv/docker/containerd/daemon/{SNAPSHOTTER}"));
        machine.process(101, 1, "dockerd", &["dockerd"]);
        if containerd {
            machine.process(100, 1, "containerd", &["containerd"]).file("run/containerd/containerd.sock", "");
        }
        machine
            .file("etc/docker/daemon.json", &format!(r#"{{"data-root": "/srv/docker", "features": {{{features}}}}}"#));
        let (sample, _) = machine.look();
        let layer = sample.layers.iter().find(|layer| layer.docker_root.is_some()).unwrap();
        layer.image_store.as_str().to_owned()
    };
    let on = r#""containerd-snapshotter": true"#;
    assert_eq!(docker("", true), "/srv/docker");
    assert_eq!(docker(on, true), format!("/var/lib/containerd/{SNAPSHOTTER}"));
    assert_eq!(docker(on, false), format!("/srv/docker/containerd/daemon/{SNAPSHOTTER}"));
    assert_eq!(docker(r#""containerd-snapshotter": false"#, true), "/srv/docker");
}
