//! `/proc/PID/net/unix`: which Unix sockets does a network namespace have? See proc_net(5) and the kernel's `net/unix/af_unix.c`.

/// A socket that somebody listens at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its inode, as the links in `/proc/PID/fd` name it: `socket:[INODE]`.
    pub inode: u64,
    /// The path it was bound to, as whoever bound it saw it; it may have been moved or covered since.
    pub path: String,
}

/// `SO_ACCEPTCON` of the kernel's `include/linux/net.h`.
const LISTENING: u32 = 1 << 16;

/// The sockets with a path in the filesystem at which somebody listens; lines that are not understood are left out.
pub fn listeners(bytes: &[u8]) -> Vec<Listener> {
    String::from_utf8_lossy(bytes).lines().filter_map(listener).collect()
}

/// Number, references, protocol, flags, type, state, inode, path.
fn listener(line: &str) -> Option<Listener> {
    let mut fields = line.split_ascii_whitespace();
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    let inode = fields.nth(2)?.parse().ok()?;
    let path = line.get(line.find(" /")? + 1..)?;
    (flags & LISTENING != 0).then(|| Listener { inode, path: path.to_owned() })
}

/// The inode in the link of a file descriptor that is a socket.
pub fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_sockets_that_listen_at_a_path_are_told() {
        let text = b"Num       RefCount Protocol Flags    Type St Inode Path
ffff8881: 00000002 00000000 00010000 0001 01 26524 /var/lib/kubelet/pod-resources/kubelet.sock
ffff8882: 00000003 00000000 00000000 0001 03 26525 /run/containerd/containerd.sock
ffff8883: 00000002 00000000 00010000 0001 01 26526 @/tmp/abstract
ffff8884: 00000002 00000000 00010000 0005 01 26527 /run/with space.sock
ffff8885: 00000003 00000000 00000000 0001 03 26528
";
        let found = |inode, path: &str| Listener { inode, path: path.to_owned() };
        assert_eq!(
            listeners(text),
            [found(26524, "/var/lib/kubelet/pod-resources/kubelet.sock"), found(26527, "/run/with space.sock")]
        );
    }

    #[test]
    fn a_link_names_an_inode() {
        assert_eq!(socket_inode("socket:[26524]"), Some(26_524));
        assert_eq!(socket_inode("anon_inode:[eventfd]"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            listeners(&bytes);
        }
    }
}
