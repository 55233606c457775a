//! What if the socket is no socket, or nobody accepts?

use super::peer::{NOW, Place, SOCKET, impatient, patient, runtime, why};
use highwater::access::root::Root;
use highwater::access::socket::Endpoint;
use highwater::sample::AbsenceReason;
use highwater::source::cri;
use nix::sys::stat::Mode;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The class and the text of what `path` inside the place brings.
fn refused(place: &Place, path: &str) -> (AbsenceReason, String) {
    let snapshot = runtime().block_on(cri::snapshot(&place.endpoint_at(path), &patient(), NOW));
    assert_eq!(why(&snapshot.version), why(&snapshot.images), "the same for every part");
    let (reason, text) = why(&snapshot.version);
    (reason, text.to_owned())
}

#[test]
fn what_is_no_socket_is_refused_and_named() {
    let place = Place::new();
    let run = place.dir.path().join("run");
    nix::unistd::mkfifo(&run.join("fifo"), Mode::S_IRWXU).unwrap();
    std::fs::write(run.join("file"), "x").unwrap();
    for (path, found) in [("/run/fifo", "FIFO"), ("/run/file", "regular file"), ("/run", "directory")] {
        let text = format!("the CRI cannot be reached: {path} is a {found}, not a socket");
        assert_eq!(refused(&place, path), (AbsenceReason::Unsafe, text));
    }
    let text = "the CRI cannot be reached: open /run/none: ENOENT: No such file or directory";
    assert_eq!(refused(&place, "/run/none"), (AbsenceReason::Gone, text.to_owned()));
}

#[test]
fn links_out_of_the_root_lead_nowhere() {
    let outside = tempfile::TempDir::new().unwrap();
    let secret = outside.path().join("daemon.sock");
    let _listener = UnixListener::bind(&secret).unwrap();
    let place = Place::new();
    let run = place.dir.path().join("run");
    symlink(&secret, run.join("absolute")).unwrap();
    symlink(Path::new("../../../../../../..").join(secret.strip_prefix("/").unwrap()), run.join("relative")).unwrap();
    for path in ["/run/absolute", "/run/relative"] {
        assert_eq!(refused(&place, path).0, AbsenceReason::Gone, "{path}");
    }
    symlink("/proc/self/root", run.join("magic")).unwrap();
    assert_eq!(refused(&place, "/run/magic/run/daemon.sock").0, AbsenceReason::Gone, "no /proc in there");
}

/// A process in a mount namespace of its own, in which `dir` is a FUSE filesystem whose daemon never answers; `None` where this
/// machine does not allow it.
fn with_dead_mount(dir: &Path) -> Option<Child> {
    let script = "set -e; mount --make-rprivate /; exec 3<>/dev/fuse
        mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0,allow_other dead \"$0\"; echo ready; exec sleep 600";
    let mut unshare = Command::new("unshare");
    if !nix::unistd::Uid::effective().is_root() {
        unshare.arg("--map-root-user");
    }
    let mut child = unshare.args(["--mount", "sh", "-c", script]).arg(dir).stdout(Stdio::piped()).spawn().ok()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
    if line != "ready\n" {
        child.wait().unwrap();
        return None;
    }
    Some(child)
}

#[test]
fn a_socket_on_a_dead_mount_costs_the_limit_and_then_nothing() {
    let place = Place::new();
    let Some(mut child) = with_dead_mount(&place.dir.path().join("run")) else {
        println!("skipped: no mount namespace with FUSE can be made here");
        return;
    };
    let root = format!("/proc/{}/root{}", child.id(), place.dir.path().display());
    let endpoint = Endpoint::new(Arc::new(Root::open(Path::new(&root)).unwrap()), SOCKET.into());
    let ask = || runtime().block_on(cri::snapshot(&endpoint, &impatient(), NOW));
    // Whether the worker or the call gives up first is a race; both have the same limit.
    let snapshot = ask();
    let (reason, text) = why(&snapshot.version);
    assert_eq!(reason, AbsenceReason::TimedOut, "{text}");
    // The first try still hangs, so the second one does not even begin; that is what an endpoint is kept for.
    assert_eq!(why(&runtime().block_on(cri::snapshot(&endpoint, &patient(), NOW)).version).0, AbsenceReason::TimedOut);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_socket_whose_daemon_is_gone_is_gone() {
    let place = Place::new();
    drop(place.listen());
    let text = "the CRI cannot be reached: connect to /run/daemon.sock: ECONNREFUSED: Connection refused";
    assert_eq!(refused(&place, SOCKET), (AbsenceReason::Gone, text.to_owned()));
}

#[test]
fn links_inside_the_root_and_long_paths_are_followed() {
    let place = Place::with(drop);
    symlink("/run", place.dir.path().join("var-run")).unwrap();
    let long = format!("/{}/{}", "d".repeat(100), "e".repeat(100));
    std::fs::create_dir_all(place.dir.path().join(long.trim_start_matches('/'))).unwrap();
    std::fs::rename(place.socket(), place.dir.path().join(format!("{long}/s").trim_start_matches('/'))).unwrap();
    symlink(format!("{long}/s"), place.socket()).unwrap();
    runtime().block_on(async {
        for path in ["/var-run/daemon.sock", "/var-run/../run/daemon.sock", &format!("{long}/s")] {
            place.endpoint_at(path).connect(Duration::from_mins(1)).await.unwrap();
        }
    });
}

#[test]
fn a_daemon_that_does_not_accept_costs_the_limit_and_no_more() {
    let place = Place::new();
    let _listener = place.listen();
    runtime().block_on(async {
        let mut waiting = Vec::new();
        while let Ok(stream) = tokio::net::UnixStream::connect(place.socket()).await {
            waiting.push(stream);
        }
        assert!(waiting.len() > 10, "the backlog is full");
        let endpoint = place.endpoint();
        let snapshot = cri::snapshot(&endpoint, &impatient(), NOW).await;
        assert_eq!(why(&snapshot.version).0, AbsenceReason::TimedOut);
        assert_eq!(
            why(&snapshot.images).1,
            "the CRI cannot be reached: connect to /run/daemon.sock did not come back within 150 ms"
        );
    });
}
