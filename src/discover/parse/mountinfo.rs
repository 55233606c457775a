//! `/proc/PID/mountinfo`: which device is mounted where?

use std::path::PathBuf;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its id, unique on the machine.
    pub id: u64,
    /// Device number, major part.
    pub major: u64,
    /// Device number, minor part.
    pub minor: u64,
    /// Which directory of the filesystem is mounted; `/` for the whole.
    pub root: String,
    /// Where.
    pub mountpoint: PathBuf,
    /// Filesystem type.
    pub kind: String,
    /// What is mounted, usually a device.
    pub source: String,
}

/// All mounts; lines that are not understood are left out.
pub fn mounts(bytes: &[u8]) -> Vec<Mount> {
    String::from_utf8_lossy(bytes).lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ');
    let id = left.next()?.parse().ok()?;
    let mut left = left.skip(1);
    let (major, minor) = left.next()?.split_once(':')?;
    let root = unescape(left.next()?);
    let mountpoint = PathBuf::from(unescape(left.next()?));
    let mut right = right.split(' ');
    let kind = right.next()?.to_owned();
    let source = unescape(right.next()?);
    Some(Mount { id, major: major.parse().ok()?, minor: minor.parse().ok()?, root, mountpoint, kind, source })
}

/// The kernel writes space, tab, newline and backslash as a backslash and three octal digits.
fn unescape(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let octal = (*first == b'\\')
            .then(|| tail.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_with_optional_fields_and_escapes_is_read() {
        let line = b"36 35 98:5 /mnt1 /mnt\\0402 rw,noatime master:1 - ext4 /dev/root rw,errors=continue\nnonsense\n";
        assert_eq!(
            mounts(line),
            [Mount {
                id: 36,
                major: 98,
                minor: 5,
                root: "/mnt1".to_owned(),
                mountpoint: PathBuf::from("/mnt 2"),
                kind: "ext4".to_owned(),
                source: "/dev/root".to_owned(),
            }]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            mounts(&bytes);
        }
    }
}
