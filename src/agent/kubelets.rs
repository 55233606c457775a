//! What is remembered of one kubelet between rounds: its settings, its release, the socket of its runtime.
//!
//! Read before layers are made of processes: which runtime a kubelet drives stands in its files. All of it is read on the kubelet's
//! own worker: a hung mount costs this kubelet only.

use super::facts::{DEADLINE, environment, machine_root};
use crate::access::ProcessId;
use crate::access::deadline::SingleFlight;
use crate::access::proc::Procfs;
use crate::access::root::Root;
use crate::discover::parse::{self, flag};
use crate::discover::{Carrier, Driven, Process, Role, Socket, same_socket};
use crate::sample::{Absence, AbsenceReason, KubeletConfig, KubeletVersion, Reading};
use crate::source::kubelet_config::{self, Invocation};
use crate::source::{kubelet_serving, kubelet_version};
use crate::time::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is remembered of a kubelet.
#[derive(Debug)]
pub(super) struct KubeletFacts {
    worker: SingleFlight,
    /// Its root directory, which may be another mount namespace's.
    pub(super) root: Result<Arc<Root>, Absence>,
    /// Its settings.
    pub(super) config: Reading<KubeletConfig>,
    /// When the socket was made at which it, or the kubelet before it, serves.
    pub(super) serving_since: Option<Timestamp>,
    /// Its release.
    pub(super) version: Option<KubeletVersion>,
    /// The runtime that it was told to drive.
    pub(super) driven: Driven,
    /// What its executable told of its release.
    told: kubelet_version::Known,
    /// The round in which it was last read.
    read_in: u64,
}

/// What one reading of a kubelet gave.
struct Read {
    config: Result<Option<KubeletConfig>, Absence>,
    serving_since: Option<Timestamp>,
    version: Option<KubeletVersion>,
    driven: Driven,
    told: kubelet_version::Known,
}

const NET_UNIX_LIMIT: usize = 4 << 20;
const MAX_DESCRIPTORS: usize = 20_000;

impl KubeletFacts {
    /// Nothing read yet; opens the root.
    pub(super) fn open(kubelet: &Process, procfs: &Procfs, rootfs: &Path) -> Self {
        Self {
            worker: SingleFlight::new(),
            root: machine_root(kubelet, procfs, rootfs),
            config: Reading::not_read(),
            serving_since: None,
            version: None,
            driven: Driven::Unknown,
            told: kubelet_version::Known::default(),
            read_in: 0,
        }
    }

    /// Whether something must be read now: never read, or a minute has passed.
    pub(super) fn is_due(&self, round: u64, every: u64) -> bool {
        self.read_in == 0 || round >= self.read_in + every
    }

    /// Reads its files; `runtimes` are those that may hold the socket that it uses.
    pub(super) fn refresh(
        &mut self,
        kubelet: &Process,
        runtimes: &[u32],
        procfs: &Procfs,
        rootfs: &Path,
        round: u64,
        now: Timestamp,
    ) {
        self.read_in = round;
        if self.root.is_err() {
            self.root = machine_root(kubelet, procfs, rootfs);
        }
        match self.read(kubelet, runtimes, procfs) {
            Ok(read) => {
                let absent = || Absence::new(AbsenceReason::NotRead, "this process runs no kubelet");
                let config = read.config.and_then(|config| config.ok_or_else(absent));
                self.config = Reading::from_result(config, now);
                (self.serving_since, self.version) = (read.serving_since, read.version);
                (self.driven, self.told) = (read.driven, read.told);
            }
            // The runtime stays the one that it was: what hangs now said so before.
            Err(absence) => {
                self.config = Reading::Absent(absence);
                (self.serving_since, self.version) = (None, None);
            }
        }
    }

    /// The minor number of its release, where that is known.
    pub(super) fn minor(&self) -> Option<u32> {
        minor(self.version.as_ref()?.release.as_str())
    }

    fn read(&self, kubelet: &Process, runtimes: &[u32], procfs: &Procfs) -> Result<Read, Absence> {
        let root = self.root.clone()?;
        let (procfs, kubelet, runtimes) = (procfs.clone(), kubelet.clone(), runtimes.to_vec());
        let mut told = self.told.clone();
        let path = PathBuf::from(format!("files of the kubelet of process {}", kubelet.pid));
        let work = move || {
            let process = ProcessId { pid: kubelet.pid, start_ticks: kubelet.start_ticks };
            let version = kubelet_version::read(&procfs, process, Some(&root), &root, &mut told);
            let cwd = procfs.link(kubelet.pid, "cwd").ok();
            let environment = environment(&procfs, kubelet.pid);
            let Role::Kubelet(carrier) = kubelet.role else { return Ok(None) };
            let invocation =
                Invocation { carrier, argv: &kubelet.argv, cwd: cwd.as_deref(), environment: environment.as_ref() };
            let config = kubelet_config::read(&root, &invocation);
            let root_dir = config.as_ref().ok().and_then(Option::as_ref).map(|config| config.root_dir.clone());
            let serving_since =
                root_dir.and_then(|root_dir| kubelet_serving::since(&root, Path::new(root_dir.as_str())).ok());
            let release = version.as_ref().map(|version| version.release.as_str());
            let mut driven = driven(&config, carrier, &kubelet.argv, release);
            if let Driven::At(socket) = &mut driven {
                locate(socket, &root, &procfs, kubelet.pid, &runtimes);
            }
            Ok(Some(Read { config, serving_since, version, driven, told }))
        };
        let read = self.worker.call("read the", &path, DEADLINE, work).map_err(Absence::from)?;
        read.ok_or_else(|| Absence::new(AbsenceReason::NotRead, "this process is no kubelet"))
    }
}

/// Which file a socket is, and which runtime holds it.
fn locate(socket: &mut Socket, root: &Root, procfs: &Procfs, kubelet: u32, runtimes: &[u32]) {
    let path = socket.path.strip_prefix("unix://").unwrap_or(&socket.path);
    socket.file = root.identity(Path::new(path)).ok();
    let Ok(bytes) = procfs.read(kubelet, "net/unix", NET_UNIX_LIMIT) else { return };
    let listeners = parse::listeners(&bytes);
    let inodes: Vec<u64> =
        listeners.iter().filter(|listener| same_socket(&listener.path, path)).map(|listener| listener.inode).collect();
    let holds = |runtime: &&u32| {
        let links = procfs.links(**runtime, "fd", MAX_DESCRIPTORS).unwrap_or_default();
        links.iter().filter_map(|link| parse::socket_inode(link)).any(|inode| inodes.contains(&inode))
    };
    if !inodes.is_empty() {
        socket.holder = runtimes.iter().find(holds).copied();
    }
}

/// The runtime that a kubelet was told to drive, as far as its arguments and files tell.
fn driven(
    config: &Result<Option<KubeletConfig>, Absence>,
    carrier: Carrier,
    argv: &[String],
    release: Option<&str>,
) -> Driven {
    let is_plain = carrier == Carrier::Kubelet;
    let told = match config {
        Ok(None) => return Driven::Off,
        Ok(Some(config)) => endpoint(config),
        Err(_) => flag(argv, &["container-runtime-endpoint"]).filter(|_| is_plain).map(str::to_owned),
    };
    match (told, config) {
        (Some(told), _) if !told.is_empty() => Driven::At(Socket::named(&told)),
        (_, Err(_)) => Driven::Unknown,
        // cmd/kubelet/app/options up to 1.23: `--container-runtime` is `docker` unless something else is said.
        _ if is_plain => match flag(argv, &["container-runtime"]) {
            Some("docker") => Driven::Dockershim,
            None if release.and_then(minor).is_some_and(|minor| minor < 24) => Driven::Dockershim,
            _ => Driven::Untold,
        },
        _ => Driven::Untold,
    }
}

/// The minor number of a release, as `v1.20.2`.
fn minor(release: &str) -> Option<u32> {
    release.trim_start_matches('v').strip_prefix("1.")?.split('.').next()?.parse().ok()
}

/// The runtime's endpoint: a flag wins over drop-ins, the last of these over the file.
fn endpoint(config: &KubeletConfig) -> Option<String> {
    let in_drop_ins = config.drop_ins.iter().rev().find_map(|file| file.settings.container_runtime_endpoint.clone());
    let in_file = || config.file.as_ref()?.settings.container_runtime_endpoint.clone();
    config.flags.container_runtime_endpoint.clone().or(in_drop_ins).or_else(in_file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{KubeletSettings, SettingsFile};

    fn at(path: &str) -> Driven {
        Driven::At(Socket::named(path))
    }

    #[test]
    fn what_a_kubelet_drives_is_told_by_flags_drop_ins_and_the_file_in_this_order() {
        let said = |path: &str| KubeletSettings {
            container_runtime_endpoint: Some(path.to_owned()),
            ..KubeletSettings::default()
        };
        let file = |path: &str, settings| SettingsFile { path: path.into(), settings };
        let mut config = KubeletConfig { file: Some(file("/f", said("/file.sock"))), ..KubeletConfig::default() };
        let of = |config: &KubeletConfig| driven(&Ok(Some(config.clone())), Carrier::Kubelet, &[], None);
        assert_eq!(of(&config), at("/file.sock"));
        config.drop_ins = vec![file("/1", said("/first.sock")), file("/2", KubeletSettings::default())];
        assert_eq!(of(&config), at("/first.sock"));
        config.flags = said("/flag.sock");
        assert_eq!(of(&config), at("/flag.sock"));
    }

    #[test]
    fn a_kubelet_that_was_told_nothing_drives_what_its_release_does() {
        let of = |line: &str, release: Option<&str>| {
            let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
            driven(&Ok(Some(KubeletConfig::default())), Carrier::Kubelet, &argv, release)
        };
        assert_eq!(of("kubelet", Some("v1.34.1")), Driven::Untold);
        assert_eq!(of("kubelet", None), Driven::Untold);
        assert_eq!(of("kubelet", Some("v1.20.2")), Driven::Dockershim);
        assert_eq!(of("kubelet --container-runtime=docker", None), Driven::Dockershim);
        assert_eq!(of("kubelet --container-runtime=remote", Some("v1.20.2")), Driven::Untold);
    }

    #[test]
    fn without_its_settings_only_a_flag_tells() {
        let unread = Err(Absence::new(AbsenceReason::Gone, "gone"));
        let argv = ["kubelet", "--container-runtime-endpoint=/x.sock"].map(str::to_owned);
        assert_eq!(driven(&unread, Carrier::Kubelet, &argv, None), at("/x.sock"));
        assert_eq!(driven(&unread, Carrier::Kubelet, argv.get(..1).unwrap(), None), Driven::Unknown);
        assert_eq!(driven(&Ok(None), Carrier::K3s, &argv, None), Driven::Off);
    }
}
