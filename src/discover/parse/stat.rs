//! `/proc/PID/stat`, `/proc/PID/status` and `/proc/uptime`, see proc(5).

use crate::time::Span;

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The name of the executable, cut at 15 bytes by the kernel; chosen by the process.
    pub comm: Vec<u8>,
    /// The parent, as the reader's pid namespace counts it; 0 where it has none there.
    pub ppid: u32,
    /// When it started, in clock ticks since the boot.
    pub start_ticks: u64,
}

/// Reads a line of `/proc/PID/stat`. The name may contain spaces and parentheses: the last `)` ends it.
pub fn stat(bytes: &[u8]) -> Option<Stat> {
    let open = bytes.iter().position(|b| *b == b'(')?;
    let close = bytes.iter().rposition(|b| *b == b')')?;
    let comm = bytes.get(open + 1..close)?.to_vec();
    let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
    // Field 3 (state) is the first of the rest; ppid is field 4, starttime field 22.
    let mut fields = rest.split_ascii_whitespace();
    let ppid = fields.nth(1)?.parse().ok()?;
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some(Stat { comm, ppid, start_ticks })
}

/// The pid in each nested namespace, outermost first (`NSpid` of `/proc/PID/status`); empty where the kernel does not tell.
pub fn namespace_pids(status: &[u8]) -> Vec<u32> {
    status
        .split(|b| *b == b'\n')
        .find_map(|line| line.strip_prefix(b"NSpid:"))
        .and_then(|rest| std::str::from_utf8(rest).ok())
        .map(|rest| rest.split_ascii_whitespace().map_while(|pid| pid.parse().ok()).collect())
        .unwrap_or_default()
}

/// Time since the boot, from `/proc/uptime`, to 10 ms.
pub fn uptime(bytes: &[u8]) -> Option<Span> {
    let seconds: f64 = std::str::from_utf8(bytes).ok()?.split_ascii_whitespace().next()?.parse().ok()?;
    seconds.is_finite().then(|| Span::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_read() {
        let line = b"42 (a) b (c)) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 123456 1 2";
        let stat = stat(line).unwrap();
        assert_eq!(stat, Stat { comm: b"a) b (c)".to_vec(), ppid: 7, start_ticks: 123_456 });
    }

    #[test]
    fn nested_pids_are_outermost_first() {
        assert_eq!(namespace_pids(b"Name:\tx\nNSpid:\t4242\t17\t1\nNSpgid:\t1\n"), [4242, 17, 1]);
        assert_eq!(namespace_pids(b"Name:\tx\n"), [0_u32; 0]);
    }

    #[test]
    fn uptime_is_the_first_number() {
        assert_eq!(uptime(b"12345.67 99.00\n"), Some(Span::from_millis(12_345_670)));
        assert_eq!(uptime(b"nan 1"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            stat(&bytes);
            namespace_pids(&bytes);
            uptime(&bytes);
        }
    }
}
