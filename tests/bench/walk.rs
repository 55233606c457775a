//! The walk that counts what each layer holds, beside du, dust and pdu, in turn in one run: a made-up store of 50,000 files in
//! 5,000 directories, in memory (/dev/shm), so that only the walks differ. Budget: at least as fast as each of them.
//!
//! dust and pdu use a thread for each core unless told otherwise; they get one here, as the walk does, because CPU is what a node
//! is short of. The pauses that the agent makes are off.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that cannot go on panics")]
#![expect(clippy::disallowed_methods, reason = "it makes files, and has a clock")]
#![expect(clippy::print_stdout, reason = "the result goes to the terminal")]

use highwater::access::deadline::SingleFlight;
use highwater::access::root::Root;
use highwater::layer::LayerId;
use highwater::sample::Component;
use highwater::source::walk::{Budget, Claim, Disk, Mounts, walk};
use highwater::units::Bytes;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Each walks this often; figures are medians.
const ROUNDS: usize = 7;

/// Ten snapshots of an image store side by side, each of 500 directories with ten small files.
fn make(store: &Path) {
    for snapshot in 0..10 {
        for directory in 0..500 {
            let directory = store.join(format!("snapshots/{snapshot}/fs/usr/share/{}/{directory}", directory / 50));
            fs::create_dir_all(&directory).unwrap();
            for file in 0..10 {
                fs::write(directory.join(format!("file-{file}")), b"x").unwrap();
            }
        }
    }
}

fn ours(store: &Path, mounts: Mounts) -> Duration {
    let disk = Disk { dev: fs::metadata(store).unwrap().dev(), rest: LayerId::host() };
    let root = Arc::new(Root::open(Path::new("/")).unwrap());
    let (layer, component) = (LayerId::host(), Component::Store);
    let claims = [Claim { layer, component, root, mounts, path: store.to_owned(), worker: SingleFlight::new() }];
    let budget = Budget { pause_every: 0, ..Budget::default() };
    let begin = Instant::now();
    let used = || Some(Bytes::from_gib(1_000));
    let walked = walk(&disk, &claims, used, &|| begin.elapsed(), &budget, &AtomicBool::new(false)).unwrap();
    assert!(walked.entries > 50_000);
    begin.elapsed()
}

/// `None` where the program is not installed.
fn other(command: &[&str], store: &Path) -> Option<Duration> {
    let begin = Instant::now();
    let mut process = Command::new(command[0]);
    process.args(&command[1..]).arg(store).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(process.status().ok()?.success(), "{command:?}");
    Some(begin.elapsed())
}

fn median(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn main() {
    // `cargo bench -- FILTER` and `cargo test --benches` pass arguments of their own harness.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let folder = tempfile::TempDir::new_in("/dev/shm").unwrap();
    make(folder.path());
    let peers: [(&str, &[&str]); 3] = [
        ("du", &["du", "--summarize", "--one-file-system", "--block-size=1"]),
        ("dust, one thread", &["dust", "--threads=1", "--limit-filesystem", "--depth=0", "--no-progress"]),
        ("pdu, one thread", &["pdu", "--threads=1", "--quantity=block-size", "--max-depth=1", "--silent-errors"]),
    ];
    let roots = [("highwater, machine's root", Mounts::Machine), ("highwater, container's root", Mounts::Container)];
    let mut times = vec![Vec::new(); roots.len() + peers.len()];
    for _ in 0..=ROUNDS {
        for (times, (_, mounts)) in times.iter_mut().zip(roots) {
            times.push(ours(folder.path(), mounts));
        }
        for (times, (_, command)) in times[roots.len()..].iter_mut().zip(peers) {
            times.extend(other(command, folder.path()));
        }
    }
    let names = roots.iter().map(|(name, _)| *name).chain(peers.iter().map(|(name, _)| *name));
    for (name, times) in names.zip(&times) {
        match times.get(1..).filter(|times| !times.is_empty()) {
            // The first one of each filled the caches.
            Some(times) => println!("{name:27} {:8.1} ms", median(times)),
            None => println!("{name:27} not installed"),
        }
    }
}
