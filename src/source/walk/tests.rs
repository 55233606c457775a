use super::*;
use crate::access::deadline::SingleFlight;
use crate::access::root::Root;
use crate::layer::LayerId;
use crate::sample::Component;
use crate::units::Bytes;
use nix::sys::stat::{Mode, mkdirat};
use std::cell::Cell;
use std::fs::{create_dir_all, hard_link, write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tempfile::TempDir;

/// More than any test tree has.
const USED: u64 = 1 << 40;

const NO_PAUSE: u64 = 0;

fn budget() -> Budget {
    Budget { pause_every: NO_PAUSE, ..Budget::default() }
}

fn disk(path: &Path) -> Disk {
    Disk { dev: std::fs::metadata(path).unwrap().dev(), rest: LayerId::host() }
}

fn claim(layer: &str, component: Component, path: &Path) -> Claim {
    let root = Arc::new(Root::open(Path::new("/")).unwrap());
    Claim {
        layer: layer.into(),
        component,
        root,
        mounts: Mounts::Container,
        path: path.to_owned(),
        worker: SingleFlight::new(),
    }
}

fn still() -> Duration {
    Duration::ZERO
}

fn run(claims: &[Claim], dir: &Path) -> Walked {
    run_within(claims, dir, &budget(), &still).unwrap()
}

fn run_within(
    claims: &[Claim],
    dir: &Path,
    budget: &Budget,
    clock: &dyn Fn() -> Duration,
) -> Result<Walked, WalkError> {
    walk(&disk(dir), claims, || Some(Bytes::new(USED)), clock, budget, &AtomicBool::new(false))
}

/// Bytes of one layer's component.
fn bytes(walked: &Walked, layer: &str, component: Component) -> Option<u64> {
    let layer = walked.usage.layers.iter().find(|usage| usage.layer.as_str() == layer)?;
    layer.components.get(&component).map(|bytes| bytes.get())
}

/// What the real du says: allocated bytes, one filesystem, hard links once.
fn du(path: &Path) -> u64 {
    let output = Command::new("du").args(["-B1", "-x", "-s"]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

fn fill(path: &Path, size: usize) {
    create_dir_all(path.parent().unwrap()).unwrap();
    write(path, vec![b'x'; size]).unwrap();
}

#[test]
fn files_links_holes_and_directories_count_as_in_du() {
    let temp = TempDir::new().unwrap();
    let dir = temp.path();
    fill(&dir.join("a/one"), 5_000);
    fill(&dir.join("a/b/two"), 123_456);
    fill(&dir.join("empty"), 0);
    hard_link(dir.join("a/b/two"), dir.join("a/again")).unwrap();
    hard_link(dir.join("a/b/two"), dir.join("and-again")).unwrap();
    symlink("/etc", dir.join("a/link")).unwrap();
    symlink("x".repeat(3_000), dir.join("a/long-link")).unwrap();
    std::fs::File::create(dir.join("hole")).unwrap().set_len(10 << 30).unwrap();
    for number in 0..500 {
        fill(&dir.join(format!("many/{number}-{}", "n".repeat(100))), 10);
    }

    let expected = du(dir);
    assert!((100_000..20_000_000).contains(&expected), "{expected}");
    for mounts in [Mounts::Machine, Mounts::Container] {
        let walked = run(&[Claim { mounts, ..claim("host", Component::Store, dir) }], dir);
        assert_eq!(bytes(&walked, "host", Component::Store), Some(expected));
        assert_eq!(bytes(&walked, "host", Component::Other), Some(USED - expected));
        assert_eq!(walked.usage.unreadable, 0);
        assert_eq!(walked.entries, 511);
    }
}

#[test]
fn a_nested_claim_is_taken_out_of_the_outer_one_in_any_order() {
    let temp = TempDir::new().unwrap();
    let outer = temp.path().join("kubelet");
    let middle = outer.join("pods/uid/volumes/docker-graph");
    let inner = middle.join("volumes/id/_data");
    let apart = temp.path().join("logs");
    fill(&outer.join("pods/uid/etc-hosts"), 300);
    fill(&middle.join("overlay2/x/diff/file"), 70_000);
    fill(&inner.join("lib/containerd/blob"), 1_000_000);
    fill(&inner.join("log/empty"), 0);
    fill(&apart.join("pod.log"), 12_345);

    let mut claims = vec![
        claim("host", Component::Kubelet, &outer),
        claim("host", Component::Logs, &apart),
        claim("host/p/dind", Component::Store, &middle),
        claim("host/p/dind/node", Component::Volumes, &inner),
        claim("host/p/dind/node", Component::Store, &inner.join("lib/containerd")),
    ];
    for _ in 0..2 {
        let walked = run(&claims, temp.path());
        assert_eq!(bytes(&walked, "host", Component::Kubelet), Some(du(&outer) - du(&middle)));
        assert_eq!(bytes(&walked, "host", Component::Logs), Some(du(&apart)));
        assert_eq!(bytes(&walked, "host/p/dind", Component::Store), Some(du(&middle) - du(&inner)));
        let store = du(&inner.join("lib/containerd"));
        assert!(store >= 1_000_000);
        assert_eq!(bytes(&walked, "host/p/dind/node", Component::Store), Some(store));
        assert_eq!(bytes(&walked, "host/p/dind/node", Component::Volumes), Some(du(&inner) - store));
        let sum = walked.usage.layers.iter().fold(0, |sum, layer| sum + layer.total().get());
        assert_eq!(sum, USED, "the rows sum to what is used");
        claims.reverse();
    }
}

#[test]
fn claims_that_are_gone_elsewhere_or_repeated_count_nothing() {
    let temp = TempDir::new().unwrap();
    fill(&temp.path().join("store/file"), 9_000);
    let store = temp.path().join("store");
    let claims = [
        claim("host", Component::Store, &store),
        claim("host/late", Component::Store, &store),
        claim("host/gone", Component::Store, &temp.path().join("gone")),
        claim("host/proc", Component::Store, Path::new("/proc")),
        claim("host/file", Component::Store, &store.join("file")),
    ];
    let walked = run(&claims, temp.path());
    let layers: Vec<&str> = walked.usage.layers.iter().map(|usage| usage.layer.as_str()).collect();
    assert_eq!(layers, ["host"]);
    assert_eq!(bytes(&walked, "host", Component::Store), Some(du(&store)));
    assert_eq!(walked.usage.unreadable, 0);
}

/// Makes a chain of directories one below the other, each with a file of one byte, and calls `also` in each of them.
fn chain(dir: &Path, names: impl Iterator<Item = String>) {
    let mut at = std::fs::File::open(dir).unwrap();
    for name in names {
        mkdirat(&at, name.as_str(), Mode::S_IRWXU).unwrap();
        let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_CLOEXEC;
        let below = nix::fcntl::openat(&at, name.as_str(), flags, Mode::empty()).unwrap();
        // A second directory beside the way, so that every level has to be returned to.
        mkdirat(&below, "a-side", Mode::S_IRWXU).unwrap();
        mkdirat(&below, "z-side", Mode::S_IRWXU).unwrap();
        at = below.into();
    }
}

/// Deeper than `std::fs::remove_dir_all` has files to open.
fn remove(dir: &Path) {
    assert!(Command::new("rm").arg("-rf").arg(dir).status().unwrap().success());
}

#[test]
fn a_tree_of_400_levels_needs_few_open_files() {
    let temp = TempDir::new().unwrap();
    let deep = temp.path().join("deep");
    create_dir_all(&deep).unwrap();
    chain(&deep, (0..400).map(|_| "d".to_owned()));
    let files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let most = Cell::new(0);
    let before = files();
    let clock = || {
        most.set(most.get().max(files()));
        Duration::ZERO
    };
    let walked = run_within(&[claim("host", Component::Store, &deep)], temp.path(), &budget(), &clock).unwrap();
    // Other tests run beside this one and have files open, too.
    assert!(most.get() < before + 200, "{} open files", most.get());
    assert_eq!(bytes(&walked, "host", Component::Store), Some(du(&deep)));
    assert_eq!((walked.entries, walked.usage.unreadable), (1_200, 0));
    remove(&deep);
}

#[test]
fn what_lies_too_deep_is_unreadable_and_left_to_the_rest() {
    let temp = TempDir::new().unwrap();
    chain(temp.path(), (0..30).map(|_| "d".to_owned()));
    let shallow = Budget { depth: 11, ..budget() };
    let walked = run_within(&[claim("host", Component::Store, temp.path())], temp.path(), &shallow, &still).unwrap();
    assert_eq!(walked.usage.unreadable, 3, "d, a-side and z-side of the eleventh level are not read");
    let shallow = bytes(&walked, "host", Component::Store).unwrap();
    assert!(shallow < du(temp.path()));
    assert_eq!(bytes(&walked, "host", Component::Other), Some(USED - shallow));
}

#[test]
fn more_directories_than_can_be_remembered_are_unreadable() {
    let temp = TempDir::new().unwrap();
    for number in 0..20 {
        fill(&temp.path().join(format!("{number}/file")), 1);
    }
    let narrow = Budget { pending: 5, ..budget() };
    let walked = run_within(&[claim("host", Component::Store, temp.path())], temp.path(), &narrow, &still).unwrap();
    assert_eq!(walked.usage.unreadable, 15);
}

/// Walks a chain of 40 levels with 200 files in the deepest, while which are read `then` runs, and gives what du said before.
fn moved_while_walked(then: impl Fn(&Path)) -> (Walked, u64) {
    let temp = TempDir::new().unwrap();
    let tree = temp.path().join("tree");
    create_dir_all(&tree).unwrap();
    chain(&tree, (0..40).map(|level| format!("d{level}")));
    for number in 0..200 {
        fill(&level(&tree, 39).join(number.to_string()), 1);
    }
    create_dir_all(temp.path().join("away")).unwrap();
    let before = du(&tree);
    // The clock is asked at the start and with entries 1, 65, 129, 193; entries 119 to 320 are those of the deepest directory.
    let calls = Cell::new(0);
    let clock = || {
        calls.set(calls.get() + 1);
        if calls.get() == 5 {
            then(temp.path());
        }
        Duration::ZERO
    };
    let walked = run_within(&[claim("host", Component::Store, &tree)], temp.path(), &budget(), &clock).unwrap();
    assert!(calls.get() > 5);
    (walked, before)
}

fn level(tree: &Path, depth: usize) -> PathBuf {
    (0..=depth).fold(tree.to_owned(), |path, level| path.join(format!("d{level}")))
}

#[test]
fn a_directory_that_is_moved_away_while_it_is_read_does_not_lose_what_is_around_it() {
    let (walked, before) = moved_while_walked(|temp| {
        std::fs::rename(level(&temp.join("tree"), 20), temp.join("away/d20")).unwrap();
    });
    assert_eq!(bytes(&walked, "host", Component::Store), Some(before));
    assert_eq!((walked.usage.unreadable, walked.entries), (0, 320 + 20), "20 steps to find the way again");
}

#[test]
fn what_cannot_be_found_again_is_unreadable() {
    let (walked, before) = moved_while_walked(|temp| {
        std::fs::rename(level(&temp.join("tree"), 20), temp.join("away/d20")).unwrap();
        let upper = level(&temp.join("tree"), 15);
        std::fs::rename(&upper, upper.with_file_name("renamed")).unwrap();
    });
    // Levels 15 to 19 are lost, each with up to two directories beside the way; how many depends on the order of the entries.
    let lost = walked.usage.unreadable;
    assert!(lost <= 10, "{lost}");
    let temp = TempDir::new().unwrap();
    assert_eq!(bytes(&walked, "host", Component::Store), Some(before - lost * du(temp.path())));
}

/// A process with a mount namespace of its own, in which a shell script was run.
struct Namespace(Child);

impl Namespace {
    /// `None` where this machine does not allow it.
    fn with(script: &str) -> Option<Self> {
        let mut unshare = Command::new("unshare");
        if !nix::unistd::Uid::effective().is_root() {
            unshare.arg("--map-root-user");
        }
        let script = format!("set -e; {script}; echo ready; exec sleep 600");
        let mut child = unshare.args(["--mount", "sh", "-c", &script]).stdout(Stdio::piped()).spawn().ok()?;
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take()?), &mut line).ok()?;
        let namespace = Self(child);
        (line == "ready\n").then_some(namespace)
    }

    fn root(&self) -> Arc<Root> {
        let proc = std::fs::File::open(format!("/proc/{}", self.0.id())).unwrap();
        Arc::new(Root::open_at(std::os::fd::AsFd::as_fd(&proc), Path::new("root")).unwrap())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn mounts_are_not_crossed_not_even_to_the_same_filesystem() {
    let temp = TempDir::new().unwrap();
    let dir = temp.path().to_str().unwrap().to_owned();
    fill(&temp.path().join("store/file"), 20_000);
    fill(&temp.path().join("store/bind/covered"), 5_000);
    fill(&temp.path().join("store/tmpfs/covered"), 5_000);
    fill(&temp.path().join("store/bound-file"), 5_000);
    fill(&temp.path().join("elsewhere/large"), 3_000_000);
    let Some(namespace) = Namespace::with(&format!(
        "mount --make-rprivate /; cd {dir}; mount --bind elsewhere store/bind; mount --bind elsewhere/large store/bound-file; \
         mount -t tmpfs none store/tmpfs; head -c 100000 /dev/zero > store/tmpfs/in-memory"
    )) else {
        println!("skipped: no mount namespace can be made here");
        return;
    };
    let mut seen = claim("host", Component::Store, &temp.path().join("store"));
    seen.root = namespace.root();
    let store = temp.path().join("store");
    let covered = du(&store.join("bind")) + du(&store.join("tmpfs")) + du(&store.join("bound-file"));
    for mounts in [Mounts::Machine, Mounts::Container] {
        let walked = run(&[Claim { mounts, ..seen.clone() }], temp.path());
        assert_eq!(bytes(&walked, "host", Component::Store), Some(du(&store) - covered));
        assert_eq!(walked.usage.unreadable, 0);
    }

    // A claim may be a mount point itself, and is then walked from where it can be seen.
    let mut bound = claim("host/p/dind", Component::Store, &temp.path().join("store/bind"));
    bound.root = namespace.root();
    let walked = run(&[seen, bound], temp.path());
    assert_eq!(bytes(&walked, "host/p/dind", Component::Store), Some(du(&temp.path().join("elsewhere"))));
}

/// Mounts a FUSE filesystem whose daemon never answers: whoever touches it hangs until the namespace is gone.
fn dead_mount(fd: u32, mode: u32, path: &str) -> String {
    format!(
        "exec {fd}<>/dev/fuse; mount -i -t fuse -o fd={fd},rootmode={mode},user_id=0,group_id=0,allow_other dead {path}"
    )
}

#[test]
fn a_dead_mount_below_a_claim_does_not_hang_the_walk_and_one_in_its_path_costs_that_claim() {
    let temp = TempDir::new().unwrap();
    let dir = temp.path().to_str().unwrap().to_owned();
    let store = temp.path().join("store");
    fill(&store.join("file"), 20_000);
    fill(&store.join("dead/covered"), 5_000);
    fill(&store.join("dead-file"), 5_000);
    let mounts = [dead_mount(3, 40_000, "store/dead"), dead_mount(4, 100_000, "store/dead-file")].join("; ");
    let Some(namespace) = Namespace::with(&format!("mount --make-rprivate /; cd {dir}; {mounts}")) else {
        println!("skipped: no mount namespace with FUSE can be made here");
        return;
    };
    let mut seen = claim("host", Component::Store, &store);
    seen.root = namespace.root();
    let mut hung = claim("host/p/dind", Component::Store, &store.join("dead/store"));
    hung.root = namespace.root();
    let covered = du(&store.join("dead")) + du(&store.join("dead-file"));
    for mounts in [Mounts::Machine, Mounts::Container] {
        let walked = run(&[hung.clone(), Claim { mounts, ..seen.clone() }], temp.path());
        assert_eq!(bytes(&walked, "host", Component::Store), Some(du(&store) - covered));
        assert_eq!(bytes(&walked, "host/p/dind", Component::Store), None);
        assert_eq!(walked.usage.unreadable, 1, "the claim in the dead mount");
    }
    assert!(hung.worker.is_stuck());
}

#[test]
fn links_in_the_claimed_path_stay_inside_the_layers_root() {
    let temp = TempDir::new().unwrap();
    fill(&temp.path().join("root/data/file"), 7_000);
    fill(&temp.path().join("data/secret"), 500_000);
    symlink("/data", temp.path().join("root/absolute")).unwrap();
    symlink("../../data", temp.path().join("root/relative")).unwrap();
    for path in ["/absolute", "/relative"] {
        let root = Arc::new(Root::open(&temp.path().join("root")).unwrap());
        let claim = Claim { root, ..claim("host", Component::Store, Path::new(path)) };
        let walked = run(&[claim], temp.path());
        assert_eq!(bytes(&walked, "host", Component::Store), Some(du(&temp.path().join("root/data"))), "{path}");
    }
}

#[test]
fn a_spent_budget_is_an_error_and_never_a_part_of_the_sum() {
    let temp = TempDir::new().unwrap();
    for number in 0..100 {
        fill(&temp.path().join(number.to_string()), 1);
    }
    let claims = [claim("host", Component::Store, temp.path())];
    let outcome = |budget: &Budget, clock: &dyn Fn() -> Duration| {
        run_within(&claims, temp.path(), budget, clock).map(|walked| walked.entries).map_err(|e| e.to_string())
    };
    assert_eq!(outcome(&Budget { entries: 100, ..budget() }, &still), Ok(100));
    let few = outcome(&Budget { entries: 99, ..budget() }, &still);
    assert_eq!(few, Err("the walk was given up after 99 directory entries".to_owned()));

    let now = Cell::new(0);
    let clock = || {
        now.set(now.get() + 60);
        Duration::from_secs(now.get())
    };
    let slow = outcome(&Budget { time: Duration::from_secs(100), ..budget() }, &clock);
    assert_eq!(slow, Err("the walk was given up after 100s".to_owned()));

    let go = |used: Option<Bytes>, stop: bool| {
        walk(&disk(temp.path()), &claims, || used, &still, &budget(), &AtomicBool::new(stop))
            .map(|walked| walked.entries)
    };
    assert!(matches!(go(Some(Bytes::ZERO), true), Err(WalkError::Stopped)));
    assert!(matches!(go(None, false), Err(WalkError::UsedUnknown)));
}

#[test]
fn claims_that_hold_more_than_is_used_leave_nothing_for_the_rest() {
    let temp = TempDir::new().unwrap();
    fill(&temp.path().join("deleted-while-walking"), 50_000);
    let claims = [claim("host", Component::Store, temp.path())];
    let used = || Some(Bytes::new(1));
    let walked = walk(&disk(temp.path()), &claims, used, &still, &budget(), &AtomicBool::new(false)).unwrap();
    assert_eq!(bytes(&walked, "host", Component::Other), Some(0));
}
