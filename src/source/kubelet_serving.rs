//! Since when does a kubelet serve pod resources? Its loops begin at that very time, and nothing else that can be seen from outside
//! tells it: the process is older by what its start takes, on a busy machine by seconds.
//!
//! Mirrors `pkg/kubelet/server/server.go` ListenAndServePodResources, which makes the socket anew at each start (from 1.15 on,
//! see feature gate KubeletPodResources).

use crate::access::AccessError;
use crate::access::root::Root;
use crate::time::Timestamp;
use std::path::Path;

/// DefaultKubeletPodResourcesDirName and podresources.Socket, below `--root-dir`.
const SOCKET: &str = "pod-resources/kubelet.sock";

/// When the socket was made. It may be that of the kubelet before, until the new one has come so far.
///
/// # Errors
/// There is none, or something else has its name.
pub fn since(root: &Root, root_dir: &Path) -> Result<Timestamp, AccessError> {
    root.socket_made(&root_dir.join(SOCKET))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::time::SystemTime;

    #[test]
    fn the_socket_tells_when_it_was_made_and_nothing_else_does() {
        let machine = tempfile::tempdir().unwrap();
        let folder = machine.path().join("data/kubelet/pod-resources");
        std::fs::create_dir_all(&folder).unwrap();
        let root = Root::open(machine.path()).unwrap();
        let since = || since(&root, Path::new("/data/kubelet"));
        assert!(since().is_err(), "there is none");
        let socket = folder.join("kubelet.sock");
        std::fs::write(&socket, "no socket").unwrap();
        assert!(since().is_err(), "a file has its name");
        std::fs::remove_file(&socket).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        let made = std::fs::metadata(&socket).unwrap().modified().unwrap();
        let made = made.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
        assert_eq!(since().unwrap().micros(), i64::try_from(made).unwrap());
        // A link out of the root is followed inside.
        std::fs::remove_file(&socket).unwrap();
        std::os::unix::fs::symlink("/run/some.sock", &socket).unwrap();
        assert!(since().is_err());
    }
}
