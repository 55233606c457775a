//! The settings of one kubelet, from its arguments and the files that they name.

use super::drop_ins::DropIns;
use super::file::{self, located};
use super::flags::Flags;
use super::{k3s, static_pods};
use crate::access::root::Root;
use crate::sample::{Absence, AbsenceReason, KubeletConfig, SettingsFile};
use crate::untrusted::Label;
use std::path::{Path, PathBuf};

/// A kubelet's file is a few KiB; 1 MiB is what an object in etcd may have.
const MAX_FILE_BYTES: usize = 1 << 20;

/// Reads what a kubelet was told. `root` is the root directory of its process, `argv` its arguments with the program
/// first, `cwd` its working directory as it sees it: relative paths start there.
///
/// A drop-in, or a value, that cannot be understood costs itself and is named in `problems`.
///
/// # Errors
/// The file named by `--config` cannot be read: gone, denied, not a regular file, above 1 MiB, or no
/// KubeletConfiguration.
/// Without it nothing certain can be said, since it decides whether there are default thresholds.
pub fn read(root: &Root, argv: &[String], cwd: Option<&Path>) -> Result<KubeletConfig, Absence> {
    let mut flags =
        if k3s::is_k3s(argv) { k3s::flags(root, argv) } else { Flags::parse(argv.iter().skip(1).map(String::as_str)) };
    let mut problems = std::mem::take(&mut flags.problems);
    let file = match &flags.config {
        Some(path) => Some(config_file(root, &absolute(path, cwd)?, &mut problems)?),
        None => None,
    };
    let mut drop_ins = DropIns::default();
    if let Some(directory) = &flags.config_dir {
        drop_ins = DropIns::read(root, &absolute(directory, cwd)?);
    }
    problems.append(&mut drop_ins.problems);
    let root_dir = flags.root_dir.as_deref().unwrap_or(KubeletConfig::DEFAULT_ROOT_DIR);
    let root_dir = absolute(root_dir, cwd).map_or_else(|_| root_dir.into(), |path| label(&path));
    let paths = file.iter().chain(&drop_ins.files).map(|file| Path::new(file.path.as_str()));
    // One that is gone by now, or whose name is too long for a label, has no time.
    let modified_at = paths.filter_map(|path| root.modified(path).ok()).max();
    let mut config = KubeletConfig {
        flags: flags.settings,
        file,
        drop_ins: drop_ins.files,
        root_dir,
        never_pulled: Vec::new(),
        modified_at,
        problems,
    };
    if let Some(path) = config.static_pod_path().and_then(|path| absolute(path, cwd).ok()) {
        config.never_pulled = static_pods::never_pulled(root, &path);
    }
    Ok(config)
}

fn config_file(root: &Root, path: &Path, problems: &mut Vec<Label>) -> Result<SettingsFile, Absence> {
    let name = label(path);
    let content = root.read_file(path, MAX_FILE_BYTES)?;
    let parsed = file::parse(&content)
        .map_err(|error| Absence::new(AbsenceReason::Malformed, located(&name, &error.to_string()).as_str()))?;
    if !parsed.is_kubelet_configuration {
        let text = located(&name, "not a KubeletConfiguration (apiVersion, kind)");
        return Err(Absence::new(AbsenceReason::Malformed, text.as_str()));
    }
    problems.extend(parsed.problems.iter().map(|text| located(&name, text)));
    Ok(SettingsFile { path: name, settings: parsed.settings })
}

/// A path as the kubelet resolves it. Links and dots are left to the root, which keeps them inside.
fn absolute(path: &str, cwd: Option<&Path>) -> Result<PathBuf, Absence> {
    let path = Path::new(path);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    cwd.map(|cwd| cwd.join(path)).ok_or_else(|| {
        Absence::new(AbsenceReason::Failed, format!("{} is relative to an unknown directory", path.display()))
    })
}

fn label(path: &Path) -> Label {
    Label::from(path.to_string_lossy().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GcPolicy, Release};
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

        fn read(&self, argv: &[&str]) -> Result<KubeletConfig, Absence> {
            let argv: Vec<String> = argv.iter().map(|argument| (*argument).to_owned()).collect();
            let root = Root::open(&self.directory.path().join("root")).unwrap();
            read(&root, &argv, Some(Path::new("/srv/dir")))
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
        let root = Root::open(&machine.directory.path().join("root")).unwrap();
        let argv = ["kubelet".to_owned(), "--config=kubelet.yaml".to_owned()];
        assert_eq!(read(&root, &argv, None).unwrap_err().reason, AbsenceReason::Failed);
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
        let many = machine.read(&["kubelet", "--config-dir=/many"]).unwrap();
        assert_eq!(many.drop_ins.len(), 100);
        assert_eq!(problems(&many), ["/many: more drop-ins than are read"]);
        let deep = machine.read(&["kubelet", "--config-dir=/deep"]).unwrap();
        assert_eq!(problems(&deep), ["/deep/1/2/3/4/5/6/7/8/9: nested too deeply"]);
        let large = machine.read(&["kubelet", "--config-dir=/large"]).unwrap();
        assert_eq!(large.drop_ins.len(), 1);
        assert_eq!(problems(&large), ["/large/2.conf: cannot be read: too_large"]);
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

    #[test]
    fn k3s_passes_its_arguments_on() {
        let machine = Machine::new().file(
            "/etc/rancher/k3s/config.yaml",
            "node-label: a=b\nkubelet-arg:\n  - image-gc-high-threshold=70\n  - --image-gc-low-threshold=60\n",
        );
        let config = machine
            .read(&["/bin/k3s", "server", "--kubelet-arg=image-gc-high-threshold=100", "--kubelet-arg", "v=2"])
            .unwrap();
        assert_eq!(config.flags.image_gc_high_threshold_percent, Some(100));
        assert_eq!(config.flags.image_gc_low_threshold_percent, Some(60));
        let policy = GcPolicy::effective(Some(&config), Release::parse("v1.30.2+k3s1"));
        assert_eq!(policy.eviction_hard.len(), 2);
        assert_eq!(problems(&config), [""; 0]);
        // A --config of k3s itself is not the kubelet's.
        assert!(machine.read(&["/bin/k3s", "agent", "--config=/no"]).unwrap().file.is_none());
    }

    #[test]
    fn k3s_that_hides_its_command_line_is_said_to() {
        let machine = Machine::new();
        let config = machine.read(&["/bin/k3s server"]).unwrap();
        assert_eq!(problems(&config), ["k3s hides its command line: a --kubelet-arg given there is not known"]);
        // From about 1.32 on its own settings are a drop-in.
        let machine = machine.file(
            "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/00-k3s-defaults.conf",
            &format!("{HEAD}evictionHard:\n  imagefs.available: 5%\n  nodefs.available: 5%\n"),
        );
        let config = machine.read(&["/bin/k3s server"]).unwrap();
        let policy = GcPolicy::effective(Some(&config), Release::parse("v1.33.1+k3s1"));
        let origins: Vec<_> = policy.eviction_hard.iter().map(|threshold| threshold.origin.as_str()).collect();
        assert_eq!(origins, ["drop-in", "drop-in"]);
    }
}
