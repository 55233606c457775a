//! Which version of a package does dpkg know? Its status file, read piece by piece: it takes megabytes. See deb(5) and
//! deb-version(7).
//!
//! Distributions with rpm keep a database that is not read.

use super::release::is_release;
use std::io::BufRead;

/// The file in which dpkg notes what is installed.
pub(super) const STATUS: &str = "/var/lib/dpkg/status";
/// The file of the package that carries a kubelet, as Kubernetes' own packages install it.
pub(super) const FILE: &str = "/usr/bin/kubelet";
const PACKAGE: &[u8] = b"kubelet";
/// A machine with thousands of packages has 10 MB.
const LIMIT: u64 = 32 << 20;
/// Longer lines are descriptions and lists; only their beginning is kept.
const KEPT: usize = 256;

/// The release of the installed package `kubelet`.
pub(super) fn release(status: impl BufRead) -> Option<String> {
    let (mut is_kubelet, mut installed, mut version) = (false, false, None);
    let mut lines = Lines { input: status.take(LIMIT), line: Vec::new() };
    while let Some(line) = lines.next() {
        if line.is_empty() {
            (is_kubelet, installed, version) = (false, false, None);
        } else if let Some(name) = line.strip_prefix(b"Package: ") {
            is_kubelet = name == PACKAGE;
        } else if let Some(state) = line.strip_prefix(b"Status: ") {
            installed = state.ends_with(b" ok installed");
        } else if let Some(text) = line.strip_prefix(b"Version: ") {
            version = std::str::from_utf8(text).ok().and_then(upstream);
        }
        if is_kubelet && installed && version.is_some() {
            return version;
        }
    }
    None
}

/// The release in a version of a package: `1.31.2-1.1` is packaging 1.1 of 1.31.2.
fn upstream(version: &str) -> Option<String> {
    let version = version.split_once(':').map_or(version, |(_epoch, rest)| rest);
    let upstream = version.rsplit_once('-').map_or(version, |(upstream, _packaging)| upstream);
    Some(format!("v{upstream}")).filter(|release| is_release(release))
}

/// The beginnings of lines.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The next line without its end, at most [`KEPT`] bytes; `None` at the end of the file, or where it cannot be read.
    fn next(&mut self) -> Option<&[u8]> {
        self.line.clear();
        loop {
            let piece = self.input.fill_buf().ok()?;
            if piece.is_empty() {
                return (!self.line.is_empty()).then_some(&self.line);
            }
            let end = piece.iter().position(|b| *b == b'\n');
            let text = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
            let room = KEPT.saturating_sub(self.line.len());
            self.line.extend_from_slice(text.get(..room).unwrap_or(text));
            let used = text.len().saturating_add(usize::from(end.is_some()));
            self.input.consume(used);
            if end.is_some() {
                return Some(&self.line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::BufReader;

    const STATUS: &str = "Package: kubectl\nStatus: install ok installed\nVersion: 1.32.0-1.1\n\n\
        Package: kubelet\nStatus: install ok installed\nPriority: optional\nSection: admin\nMaintainer: Kubernetes Authors\n\
        Architecture: amd64\nVersion: 1.31.2-1.1\nDepends: iptables (>= 1.4.21), kubernetes-cni (>= 1.2.0), mount\n\
        Description: Node agent\n Package: other\n\nPackage: libc6\nStatus: install ok installed\nVersion: 2.41-12\n";

    fn of(status: &str) -> Option<String> {
        // A small buffer, so that lines lie across its end.
        release(BufReader::with_capacity(7, status.as_bytes()))
    }

    #[test]
    fn the_package_of_the_kubelet_is_found() {
        assert_eq!(of(STATUS).as_deref(), Some("v1.31.2"));
        assert_eq!(of(&STATUS.replace("1.31.2-1.1", "3:1.31.2-00")).as_deref(), Some("v1.31.2"));
        assert_eq!(of(&STATUS.replace("1.31.2-1.1", "1.31.0~rc.1-0")).as_deref(), Some("v1.31.0~rc.1"));
    }

    #[test]
    fn what_is_not_installed_or_no_release_is_no_answer() {
        assert_eq!(of(&STATUS.replace("Package: kubelet", "Package: kubelet2")), None);
        assert_eq!(
            of(&STATUS.replace(
                "Package: kubelet\nStatus: install ok installed",
                "Package: kubelet\nStatus: deinstall ok config-files"
            )),
            None
        );
        assert_eq!(
            of(&STATUS.replace(
                "Package: kubelet\nStatus: install ok installed",
                "Package: kubelet\nStatus: install ok unpacked"
            )),
            None
        );
        assert_eq!(of(&STATUS.replace("1.31.2-1.1", "31-1")), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn endless_lines_and_files_take_no_memory_and_an_end() {
        let long = format!("Description: {}\nPackage: kubelet\n", "x".repeat(100_000));
        let mut lines = Lines { input: BufReader::new(long.as_bytes()), line: Vec::new() };
        assert_eq!(lines.next().map(<[u8]>::len), Some(KEPT));
        assert_eq!(lines.next(), Some(b"Package: kubelet".as_slice()));
        assert!(lines.line.capacity() < 1_000);
        assert_eq!(release(BufReader::new(std::io::repeat(b'x'))), None);
        let cut = format!("{}\n\n{STATUS}", "x".repeat(usize::try_from(LIMIT).unwrap()));
        assert_eq!(release(BufReader::new(cut.as_bytes())), None, "beyond the limit");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, text in "(Package: |kubelet|Status: |installed|Version: |\n|.){0,40}") {
            release(bytes.as_slice());
            release(text.as_bytes());
        }
    }
}
