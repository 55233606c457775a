//! Is a fill in bursts predicted, and nothing else cried? A small disk of its own, so that it runs beside the tests of the lab.
//!
//! The agent is the real one with its ordinary sampling of five seconds. Its procfs has the mount table and one made-up process, a
//! kubelet without arguments, so that the machine that it watches is this disk and nothing more, with the kubelet's defaults.

use crate::agent::Agent;
use crate::wait::{now, until};
use nix::sys::statvfs::statvfs;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const SIZE: u64 = 512 * MIB;
/// What the kubelet's default of 85 % leaves available: image GC is due below 16 % by its own integer arithmetic.
const LINE: f64 = 0.16;

/// A loop-mounted ext4 disk in the lab's folder, where `tests/lab/test` looks for remains.
struct Disk {
    mountpoint: PathBuf,
    image: PathBuf,
    written: Vec<PathBuf>,
}

impl Disk {
    fn new() -> Self {
        let folder = PathBuf::from(std::env::var_os("LAB_DIR").expect("LAB_DIR is set: run tests/lab/test"));
        let disk = Self { mountpoint: folder.join("bursts"), image: folder.join("bursts.img"), written: Vec::new() };
        // What a killed run has left.
        disk.remove();
        fs::create_dir_all(&disk.mountpoint).expect("a new folder");
        File::create(&disk.image).and_then(|file| file.set_len(SIZE)).expect("a sparse file");
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0", "-O", "^has_journal"]).arg(&disk.image));
        run(Command::new("mount").args(["-o", "loop"]).args([&disk.image, &disk.mountpoint]));
        disk
    }

    fn available(&self) -> f64 {
        available(&self.mountpoint)
    }

    /// Writes until so much is available, spread over these seconds; `each` is called about every second.
    fn write(&mut self, available: f64, seconds: u32, mut each: impl FnMut()) {
        let path = self.mountpoint.join(format!("{}", self.written.len()));
        let mut file = File::create_new(&path).expect("a new file");
        self.written.push(path);
        let before = self.available();
        let block = vec![0x5a; 64 << 10];
        for second in 1..=seconds {
            let due = before + (available - before) * f64::from(second) / f64::from(seconds);
            while self.available() > due {
                file.write_all(&block).expect("the disk has room");
            }
            each();
        }
    }

    fn give_back(&mut self) {
        for path in self.written.drain(1..) {
            fs::remove_file(path).expect("a file that was written");
        }
    }

    fn remove(&self) {
        // Fails where nothing is mounted yet.
        Command::new("umount").arg(&self.mountpoint).stderr(Stdio::null()).status().ok();
        fs::remove_dir(&self.mountpoint).ok();
        fs::remove_file(&self.image).ok();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.remove();
    }
}

fn run(command: &mut Command) {
    let status = command.status().expect("it can be started");
    assert!(status.success(), "{command:?}: {status}");
}

/// What one round said.
#[derive(Debug, Clone, Copy)]
struct Said {
    at: f64,
    within_10m: f64,
    within_30m: f64,
}

/// Everything that the agent has said, a round each.
struct Listener<'a> {
    agent: &'a Agent,
    said: Vec<Said>,
}

impl Listener<'_> {
    fn listen(&mut self) {
        std::thread::sleep(Duration::from_secs(1));
        let Ok(scrape) = self.agent.scrape() else { return };
        let probability = |horizon: &str| {
            let labels = [("layer", "host"), ("trigger", "image_gc"), ("horizon", horizon)];
            scrape.value("highwater_forecast_probability_ratio", &labels)
        };
        if let (Some(at), Some(within_10m), Some(within_30m)) = (scrape.at(), probability("10m"), probability("30m"))
            && self.said.last().is_none_or(|last| last.at < at)
        {
            self.said.push(Said { at, within_10m, within_30m });
        }
    }

    fn rest(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.listen();
        }
    }

    fn between(&self, from: f64, to: f64) -> impl Iterator<Item = &Said> {
        self.said.iter().filter(move |said| (from..to).contains(&said.at))
    }
}

/// A procfs with a kubelet on the machine, whose root filesystem is this one.
fn procfs_of_a_kubelet(root: &Path) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kubelet = folder.path().join("100");
    for entry in [&folder.path().join("self"), &kubelet] {
        fs::create_dir(entry).expect("a folder");
        fs::copy("/proc/self/mountinfo", entry.join("mountinfo")).expect("a mount table");
    }
    fs::write(folder.path().join("uptime"), "100000.00 1.00\n").expect("a file");
    for (name, content) in [
        ("comm", "kubelet\n".to_owned()),
        ("stat", format!("100 (kubelet) S 1 {}5000 0 0\n", "0 ".repeat(17))),
        ("cmdline", "kubelet\0".to_owned()),
        ("status", "Name:\tkubelet\nNSpid:\t100\n".to_owned()),
        ("cgroup", "0::/system.slice/kubelet.service\n".to_owned()),
    ] {
        fs::write(kubelet.join(name), content).expect("a file");
    }
    for (name, target) in [("cwd", root), ("root", root)] {
        symlink(target, kubelet.join(name)).expect("a link");
    }
    folder
}

/// The condition of the alert: the probability within half an hour is 0.5 or more. It holds for at least a minute before the
/// crossing, not at rest, and not once the space was given back.
#[test]
#[ignore = "needs root: tests/lab/test"]
fn a_fill_in_bursts_is_predicted_a_minute_before_and_a_pause_or_a_release_ends_the_alarm() {
    const ON: f64 = 0.5;
    let mut disk = Disk::new();
    disk.write(0.45, 1, || ());
    let procfs = procfs_of_a_kubelet(&disk.mountpoint);
    let agent = Agent::with(&[
        &format!("--path.procfs={}", procfs.path().display()),
        &format!("--path.rootfs={}", disk.mountpoint.display()),
        "--usage.interval=0s",
    ]);
    let mut listener = Listener { agent: &agent, said: Vec::new() };
    until("a forecast", || {
        listener.listen();
        listener.said.last().map(|_| ()).ok_or_else(|| "none yet".to_owned())
    });

    // A job that writes a twentieth of the disk, and then a plateau at 60 %.
    disk.write(0.40, 10, || listener.listen());
    let plateau = now();
    listener.rest(90);
    // 25 % in four minutes: ten seconds of writing, twenty of rest, eight times.
    let bursts = now();
    let mut crossed = None;
    for burst in 1..=8 {
        let target = 0.40 - (0.40 - LINE + 0.008) * f64::from(burst) / 8.0;
        let below = disk.mountpoint.clone();
        disk.write(target, 10, || {
            if crossed.is_none() && available(&below) < LINE {
                crossed = Some(now());
            }
            listener.listen();
        });
        if burst < 8 {
            listener.rest(20);
        }
    }
    let crossed = crossed.expect("the last burst crosses the line");
    disk.give_back();
    let given_back = now();
    listener.rest(75);

    report(
        &listener.said,
        &[("plateau", plateau), ("bursts", bursts), ("crossed", crossed), ("given back", given_back)],
    );
    let last_minute: Vec<_> = listener.between(crossed - 60.0, crossed).collect();
    assert!(last_minute.len() >= 9, "{}", last_minute.len());
    assert!(last_minute.iter().all(|said| said.within_30m >= ON), "{last_minute:?}");
    // A minute after the last byte.
    let at_rest: Vec<_> = listener.between(plateau + 60.0, bursts).collect();
    assert!(at_rest.len() >= 4, "{}", at_rest.len());
    assert!(at_rest.iter().all(|said| said.within_30m < ON), "{at_rest:?}");
    // Two rounds: one may have begun before.
    let after: Vec<_> = listener.between(given_back + 10.0, f64::INFINITY).collect();
    assert!(after.len() >= 9, "{}", after.len());
    assert!(after.iter().all(|said| said.within_30m < ON && said.within_10m < ON), "{after:?}");
}

/// The available part of the size.
fn available(mountpoint: &Path) -> f64 {
    let told = statvfs(mountpoint).expect("it is mounted");
    let [available, size] =
        [told.blocks_available(), told.blocks()].map(|blocks| f64::from(u32::try_from(blocks).expect("a small disk")));
    available / size
}

#[expect(clippy::print_stderr, reason = "a measurement, for whoever runs with --nocapture")]
fn report(said: &[Said], marks: &[(&str, f64)]) {
    let begin = said.first().map_or(0.0, |first| first.at);
    for (what, at) in marks {
        eprintln!("bursts: {what} at {:.0} s", at - begin);
    }
    for said in said {
        eprintln!("bursts: {:4.0} s  10m {:.2}  30m {:.2}", said.at - begin, said.within_10m, said.within_30m);
    }
}
