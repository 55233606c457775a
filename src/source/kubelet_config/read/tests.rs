use super::*;
use crate::model::{GcPolicy, Release, ThresholdValue};
use crate::time::Span;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

/// A machine with a secret outside of the kubelet's root.
struct Machine {
    directory: TempDir,
}

impl Machine {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        fs::create_dir(directory.path().join("root")).unwrap();
        fs::write(directory.path().join("secret"), "hunter2: hunter2").unwrap();
        Self { directory }
    }

    fn path(&self, path: &str) -> PathBuf {
        let path = self.directory.path().join("root").join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn file(self, path: &str, content: &str) -> Self {
        fs::write(self.path(path), content).unwrap();
        self
    }

    fn fixture(self, path: &str, name: &str) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kubelet").join(name);
        fs::copy(&from, self.path(path)).unwrap();
        self
    }

    fn root(&self) -> Root {
        Root::open(&self.directory.path().join("root")).unwrap()
    }

    fn read(&self, argv: &[&str]) -> Result<KubeletConfig, Absence> {
        self.read_in(Carrier::Kubelet, argv, &[]).map(Option::unwrap)
    }

    fn read_in(
        &self,
        carrier: Carrier,
        argv: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Option<KubeletConfig>, Absence> {
        let argv: Vec<String> = argv.iter().map(|argument| (*argument).to_owned()).collect();
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = environment.iter().map(pair).collect();
        let cwd = Some(Path::new("/srv/dir"));
        read(&self.root(), &Invocation { carrier, argv: &argv, cwd, environment: Some(&environment) })
    }

    fn reason(&self, argv: &[&str]) -> AbsenceReason {
        self.read(argv).unwrap_err().reason
    }
}

fn problems(config: &KubeletConfig) -> Vec<&str> {
    config.problems.iter().map(Label::as_str).collect()
}

#[test]
fn kinds_node_has_its_settings_in_the_file() {
    let machine = Machine::new().fixture("/var/lib/kubelet/config.yaml", "kind-config.yaml");
    let config = machine.read(&["/usr/bin/kubelet", "--config=/var/lib/kubelet/config.yaml", "--v=2"]).unwrap();
    assert_eq!(problems(&config), [""; 0]);
    assert_eq!(config.root_dir.as_str(), "/var/lib/kubelet");
    let policy = GcPolicy::effective(Some(&config), Release::parse("v1.35.0"));
    assert!(!policy.image_gc.enabled);
    assert_eq!(policy.image_gc.high.origin.as_str(), "file");
    assert_eq!(policy.eviction_hard, []);
    assert_eq!(policy.problems, []);
}

#[test]
fn capds_node_has_its_settings_in_flags() {
    let machine = Machine::new().fixture("/var/lib/kubelet/config.yaml", "kubeadm-config.yaml");
    let flags = "--eviction-hard=nodefs.available<0%,nodefs.inodesFree<0%,imagefs.available<0%";
    let config = machine
        .read(&["kubelet", "--config=/var/lib/kubelet/config.yaml", flags, "--image-gc-high-threshold=100"])
        .unwrap();
    let policy = GcPolicy::effective(Some(&config), Release::parse("v1.34.1"));
    assert!(!policy.image_gc.enabled);
    assert_eq!(policy.image_gc.high.origin.as_str(), "flag");
    assert_eq!(policy.eviction_hard, []);
    // The same node without the flag, as CAPD was up to 1.8.10 and is with Ignition.
    let old = machine.read(&["kubelet", "--config=/var/lib/kubelet/config.yaml", flags]).unwrap();
    let policy = GcPolicy::effective(Some(&old), Release::parse("v1.31.0"));
    assert!(policy.image_gc.enabled);
    assert_eq!(policy.image_gc.high.origin.as_str(), "default");
    assert_eq!(policy.eviction_hard, []);
}

#[test]
fn the_latest_change_of_any_file_is_noted() {
    let machine = Machine::new().file("/config", HEAD).file("/d/1.conf", HEAD);
    let set = |path: &str, seconds| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(seconds);
        fs::File::options().write(true).open(machine.path(path)).unwrap().set_modified(time).unwrap();
    };
    set("/config", 5_500);
    set("/d/1.conf", 7_250);
    let modified = |argv: &[&str]| machine.read(argv).unwrap().modified_at.map(crate::time::Timestamp::micros);
    assert_eq!(modified(&["kubelet"]), None);
    assert_eq!(modified(&["kubelet", "--config=/config"]), Some(5_500_000));
    assert_eq!(modified(&["kubelet", "--config=/config", "--config-dir=/d"]), Some(7_250_000));
}

#[test]
fn relative_paths_start_at_the_working_directory() {
    let machine = Machine::new().file("/srv/dir/kubelet.yaml", &format!("{HEAD}imageMinimumGCAge: 6m0s\n"));
    let config = machine.read(&["kubelet", "--config", "kubelet.yaml", "--root-dir=data"]).unwrap();
    let SettingsFile { path, settings } = config.file.unwrap();
    assert_eq!(path.as_str(), "/srv/dir/kubelet.yaml");
    assert_eq!(settings.image_minimum_gc_age, Some(Span::from_secs(360)));
    assert_eq!(config.root_dir.as_str(), "/srv/dir/data");
    let argv = ["kubelet".to_owned(), "--config=kubelet.yaml".to_owned()];
    let invocation = Invocation { carrier: Carrier::Kubelet, argv: &argv, cwd: None, environment: None };
    assert_eq!(read(&machine.root(), &invocation).unwrap_err().reason, AbsenceReason::Failed);
}

#[test]
fn drop_ins_are_read_in_lexical_order_and_links_to_directories_are_not_entered() {
    let high = |percent: u32| format!("{HEAD}imageGCHighThresholdPercent: {percent}\n");
    let machine = Machine::new()
        .file("/etc/k.d/20-b.conf", &high(82))
        .file("/etc/k.d/10-a.conf", &high(81))
        .file("/etc/k.d/15-sub/x.conf", &high(83))
        .file("/etc/k.d/30.yaml", &high(84))
        .file("/elsewhere/y.conf", &high(85))
        .file("/elsewhere/z", &high(86));
    symlink("/elsewhere", machine.path("/etc/k.d/25-linked")).unwrap();
    symlink("/elsewhere/z", machine.path("/etc/k.d/26-linked.conf")).unwrap();
    let config = machine.read(&["kubelet", "--config-dir=/etc/k.d"]).unwrap();
    let read: Vec<_> = config
        .drop_ins
        .iter()
        .map(|file| (file.path.as_str(), file.settings.image_gc_high_threshold_percent.unwrap()))
        .collect();
    assert_eq!(
        read,
        [
            ("/etc/k.d/10-a.conf", 81),
            ("/etc/k.d/15-sub/x.conf", 83),
            ("/etc/k.d/20-b.conf", 82),
            ("/etc/k.d/26-linked.conf", 86),
        ]
    );
    assert_eq!(problems(&config), [""; 0]);
}

#[test]
fn a_bad_drop_in_costs_itself_and_is_named_without_its_content() {
    let machine = Machine::new()
        .file("/d/1.conf", "hunter2")
        .file("/d/2.conf", "apiVersion: v1\nkind: Secret\ndata: hunter2\n")
        .file("/d/3.conf", "{hunter2: [")
        .file("/d/4.conf", "")
        .file("/d/5.conf", &format!("{HEAD}imageMinimumGCAge: hunter2\nevictionHard: {{imagefs.available: 5%}}\n"));
    symlink("/../../secret", machine.path("/d/6.conf")).unwrap();
    mkfifo(&machine.path("/d/7.conf"), Mode::S_IRWXU).unwrap();
    let config = machine.read(&["kubelet", "--config-dir=/d"]).unwrap();
    assert_eq!(config.drop_ins.len(), 1);
    assert_eq!(
        problems(&config),
        [
            "/d/1.conf: not a mapping",
            "/d/2.conf: not a KubeletConfiguration (apiVersion, kind)",
            "/d/3.conf: neither YAML nor JSON within limits (line 1, column 11)",
            "/d/4.conf: empty",
            "/d/5.conf: imageMinimumGCAge: not a duration such as 2m30s",
            "/d/6.conf: cannot be read: gone",
            "/d/7.conf: cannot be read: unsafe",
        ]
    );
}

#[test]
fn a_missing_directory_of_drop_ins_is_a_problem_and_flags_still_count() {
    let config = Machine::new().read(&["kubelet", "--config-dir=/no", "--image-gc-high-threshold=90"]).unwrap();
    assert_eq!(problems(&config), ["/no: cannot be read: gone"]);
    assert_eq!(config.flags.image_gc_high_threshold_percent, Some(90));
}

#[test]
fn drop_ins_are_bounded_in_number_depth_and_size() {
    let mut machine = Machine::new();
    for number in 0..101 {
        machine = machine.file(&format!("/many/{number:03}.conf"), HEAD);
    }
    machine = machine.file("/deep/1/2/3/4/5/6/7/8/9/x.conf", HEAD);
    let large = format!("{HEAD}# {}\n", "x".repeat(600_000));
    machine = machine.file("/large/1.conf", &large).file("/large/2.conf", &large);
    // What is beyond the limits may say anything: then nothing is known.
    let refused = |directory: &str| {
        let absence = machine.read(&["kubelet", &format!("--config-dir={directory}")]).unwrap_err();
        (absence.reason, absence.detail.as_str().to_owned())
    };
    assert_eq!(refused("/many"), (AbsenceReason::TooLarge, "/many: more drop-ins than are read".to_owned()));
    assert_eq!(refused("/deep"), (AbsenceReason::TooLarge, "/deep/1/2/3/4/5/6/7/8/9: nested too deeply".to_owned()));
    assert_eq!(
        refused("/large"),
        (AbsenceReason::TooLarge, "/large/2.conf is larger than the limit of 448504".to_owned())
    );
}

#[test]
fn without_its_config_file_nothing_is_said() {
    let machine = Machine::new();
    assert_eq!(machine.reason(&["kubelet", "--config=/no"]), AbsenceReason::Gone);
    mkfifo(&machine.path("/fifo"), Mode::S_IRWXU).unwrap();
    assert_eq!(machine.reason(&["kubelet", "--config=/fifo"]), AbsenceReason::Unsafe);
    fs::File::create(machine.path("/huge")).unwrap().set_len(10 << 30).unwrap();
    assert_eq!(machine.reason(&["kubelet", "--config=/huge"]), AbsenceReason::TooLarge);
    symlink("../secret", machine.path("/relative")).unwrap();
    assert_eq!(machine.reason(&["kubelet", "--config=/relative"]), AbsenceReason::Gone);
    symlink(machine.directory.path().join("secret"), machine.path("/absolute")).unwrap();
    assert_eq!(machine.reason(&["kubelet", "--config=/absolute"]), AbsenceReason::Gone);
    symlink("/proc/1/root/etc/shadow", machine.path("/magic")).unwrap();
    assert_eq!(machine.reason(&["kubelet", "--config=/magic"]), AbsenceReason::Gone);
    let machine = machine.file("/shadow", "root:$6$hunter2:19000:0:99999:7:::\ndaemon:*:1:0:9:7:::\n");
    let absence = machine.read(&["kubelet", "--config=/shadow"]).unwrap_err();
    assert_eq!(absence.reason, AbsenceReason::Malformed);
    assert!(!absence.detail.as_str().contains("hunter2"), "{absence}");
}

/// The settings that k3s passes to its kubelet.
fn k3s(machine: &Machine, argv: &[&str]) -> KubeletConfig {
    machine.read_in(Carrier::K3s, argv, &[]).unwrap().unwrap()
}

#[test]
fn k3s_passes_its_arguments_on() {
    let machine = Machine::new().file(
        "/etc/rancher/k3s/config.yaml",
        "node-label: a=b\nkubelet-arg:\n  - image-gc-high-threshold=70\n  - --image-gc-low-threshold=60\n",
    );
    let config =
        k3s(&machine, &["/bin/k3s", "server", "--kubelet-arg=image-gc-high-threshold=100", "--kubelet-arg", "v=2"]);
    assert_eq!(config.flags.image_gc_high_threshold_percent, Some(100));
    assert_eq!(config.flags.image_gc_low_threshold_percent, Some(60));
    let policy = GcPolicy::effective(Some(&config), Release::parse("v1.30.2+k3s1"));
    assert_eq!(policy.eviction_hard.len(), 2);
    assert_eq!(problems(&config), [""; 0]);
    // A --config of k3s itself is not the kubelet's.
    let other = machine.file("/srv/other.yaml", "kubelet-arg: image-gc-high-threshold=77\n");
    let config = k3s(&other, &["/bin/k3s", "agent", "--config=/srv/other.yaml"]);
    assert_eq!((config.file, config.flags.image_gc_high_threshold_percent), (None, Some(77)));
    let named = other.read_in(Carrier::K3s, &["k3s server"], &[("K3S_CONFIG_FILE", "/srv/other.yaml")]);
    assert_eq!(named.unwrap().unwrap().flags.image_gc_high_threshold_percent, Some(77));
}

#[test]
fn k3s_that_hides_its_command_line_is_said_to() {
    let machine = Machine::new();
    let hidden = ["k3s hides its command line: a --kubelet-arg given there is not known"];
    assert_eq!(problems(&k3s(&machine, &["/bin/k3s server"])), hidden);
    // From about 1.32 on its own settings are a drop-in.
    let machine = machine.file(
        "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/00-k3s-defaults.conf",
        &format!("{HEAD}evictionHard:\n  imagefs.available: 5%\n  nodefs.available: 5%\n"),
    );
    let policy = GcPolicy::effective(Some(&k3s(&machine, &["/bin/k3s server"])), Release::parse("v1.33.1+k3s1"));
    let origins: Vec<_> = policy.eviction_hard.iter().map(|threshold| threshold.origin.as_str()).collect();
    assert_eq!(origins, ["drop-in", "drop-in"]);
}

#[test]
fn files_beside_the_main_one_replace_keys_of_k3s_or_add_to_them() {
    let high = |machine: &Machine| {
        let config = k3s(machine, &["k3s server"]);
        (config.flags.image_gc_high_threshold_percent, config.flags.image_gc_low_threshold_percent)
    };
    // What Rancher writes is JSON, and there is no main file.
    let rancher = r#"{"kubelet-arg": ["image-gc-high-threshold=70", "image-gc-low-threshold=65"], "token": "x"}"#;
    let machine = Machine::new().file("/etc/rancher/k3s/config.yaml.d/50-rancher.yaml", rancher);
    assert_eq!(high(&machine), (Some(70), Some(65)));
    let machine =
        machine.file("/etc/rancher/k3s/config.yaml.d/60-more.yml", "kubelet-arg+: image-gc-low-threshold=50\n");
    assert_eq!(high(&machine), (Some(70), Some(50)), "key+ adds");
    let machine = machine.file("/etc/rancher/k3s/config.yaml", "kubelet-arg: [image-gc-high-threshold=91, v=4]\n");
    assert_eq!(high(&machine), (Some(70), Some(50)), "the main file comes first");
    let machine = machine.file("/etc/rancher/k3s/config.yaml.d/70.yaml", "kubelet-arg:\n- image-gc-low-threshold=40\n");
    assert_eq!(high(&machine), (None, Some(40)), "a key without + replaces");
    let machine = machine.file("/etc/rancher/k3s/config.yaml.d/80.json", "{\"kubelet-arg\": []}");
    assert_eq!(high(&machine), (None, Some(40)), "no YAML by its name");
}

#[test]
fn a_file_that_is_passed_through_k3s_loses_to_its_flags_and_wins_over_its_drop_in() {
    let user = format!("{HEAD}imageGCHighThresholdPercent: 88\nevictionHard:\n  nodefs.available: 1%\n");
    let machine = Machine::new()
        .file("/etc/rancher/k3s/config.yaml", "kubelet-arg:\n- config=/etc/user.yaml\n")
        .file("/etc/user.yaml", &user);
    let hard = |machine: &Machine| {
        let policy = GcPolicy::effective(Some(&k3s(machine, &["k3s server"])), Release::Unknown);
        let percent = |value: &ThresholdValue| match value {
            ThresholdValue::Fraction(fraction) => format!("{:.0}%", fraction * 100.0),
            ThresholdValue::Quantity(quantity) => quantity.to_string(),
        };
        let hard: Vec<_> =
            policy.eviction_hard.iter().map(|t| format!("{} {}", t.signal.as_str(), percent(&t.value))).collect();
        (policy.image_gc.high.value.get(), hard)
    };
    assert_eq!(hard(&machine), (88, vec!["nodefs.available 5%".to_owned(), "imagefs.available 5%".to_owned()]));
    let newer = machine.file(
        "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/00-k3s-defaults.conf",
        &format!("{HEAD}evictionHard:\n  imagefs.available: 5%\n  nodefs.available: 5%\n"),
    );
    let by_key = (88, vec!["nodefs.available 1%".to_owned(), "imagefs.available 5%".to_owned()]);
    assert_eq!(hard(&newer), by_key);
    let copied = newer.file("/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/10-cli-config.conf", &user);
    assert_eq!(hard(&copied), by_key, "its copy is read once");
}

#[test]
fn k3s_tells_its_kubelet_which_runtime_to_drive() {
    let endpoint = |config: &str| {
        let machine = Machine::new().file("/etc/rancher/k3s/config.yaml", config);
        k3s(&machine, &["k3s agent"]).flags.container_runtime_endpoint.unwrap()
    };
    assert_eq!(endpoint("token: x\n"), "unix:///run/k3s/containerd/containerd.sock");
    assert_eq!(endpoint("docker: true\n"), "unix:///run/k3s/cri-dockerd/cri-dockerd.sock");
    assert_eq!(endpoint("container-runtime-endpoint: /run/crio/crio.sock\n"), "/run/crio/crio.sock");
    let server = Machine::new().file("/etc/rancher/k3s/config.yaml", "disable-agent: true\n");
    assert_eq!(server.read_in(Carrier::K3s, &["k3s server"], &[]).unwrap(), None);
}

#[test]
fn the_flags_of_a_snap_stand_in_a_file() {
    let argv = ["/snap/microk8s/5/kubelite", "--scheduler-args-file=/no", "--kubelet-args-file=/var/snap/args/kubelet"];
    let machine = Machine::new().file(
        "/var/snap/args/kubelet",
        "--root-dir=${SNAP_COMMON}/var/lib/kubelet\n--eviction-hard=\"nodefs.available<1Gi\"\n--image-gc-high-threshold 60\n\
         --container-runtime-endpoint=${SNAP_COMMON}/run/containerd.sock\n",
    );
    let read = |environment: &[(&str, &str)]| machine.read_in(Carrier::Kubelite, &argv, environment);
    let config = read(&[("SNAP_COMMON", "/var/snap/common")]).unwrap().unwrap();
    assert_eq!(config.root_dir.as_str(), "/var/snap/common/var/lib/kubelet");
    assert_eq!(config.flags.image_gc_high_threshold_percent, Some(60));
    assert_eq!(config.flags.container_runtime_endpoint.as_deref(), Some("/var/snap/common/run/containerd.sock"));
    let hidden =
        Invocation { carrier: Carrier::Kubelite, argv: &argv.map(str::to_owned), cwd: None, environment: None };
    assert_eq!(super::read(&machine.root(), &hidden).unwrap_err().reason, AbsenceReason::Malformed);
}

#[test]
fn microshift_loads_its_file_without_default_thresholds() {
    let machine = Machine::new().file(MICROSHIFT, &format!("{HEAD}imageGCHighThresholdPercent: 75\n"));
    let config = machine.read_in(Carrier::Microshift, &["microshift", "run"], &[]).unwrap().unwrap();
    let policy = GcPolicy::effective(Some(&config), Release::parse("v1.32.0"));
    assert_eq!((policy.image_gc.high.value.get(), policy.eviction_hard), (75, Vec::new()));
}

#[test]
fn settings_that_cannot_be_read_are_unknown() {
    let machine = Machine::new();
    assert_eq!(machine.reason(&[]), AbsenceReason::Denied, "no arguments");
    let reason = |carrier, argv: &[&str]| machine.read_in(carrier, argv, &[]).unwrap_err().reason;
    assert_eq!(reason(Carrier::Other, &["agent", "--x"]), AbsenceReason::NotRead);
    assert_eq!(reason(Carrier::Kubelite, &["kubelite"]), AbsenceReason::NotRead);
    assert_eq!(reason(Carrier::Kubelite, &["kubelite", "--kubelet-args-file=/no"]), AbsenceReason::Gone);
    assert_eq!(reason(Carrier::Microshift, &["microshift", "run"]), AbsenceReason::Gone);
    mkfifo(&machine.path("/etc/rancher/k3s/config.yaml"), Mode::S_IRWXU).unwrap();
    assert_eq!(reason(Carrier::K3s, &["k3s server"]), AbsenceReason::Unsafe);
    let machine = Machine::new().file("/etc/rancher/k3s/config.yaml.d/1.yaml", "{hunter2: [");
    let absence = machine.read_in(Carrier::K3s, &["k3s server"], &[]).unwrap_err();
    assert_eq!(absence.reason, AbsenceReason::Malformed);
    assert!(!absence.detail.as_str().contains("hunter2"), "{absence}");
}
