//! `/proc/PID/cgroup`: which container does a process belong to?

/// The id of the innermost container named in a cgroup path: 64 hex digits as containerd, CRI-O and Docker write them, also as
/// `cri-containerd-ID.scope`, `crio-ID.scope`, `docker-ID.scope`.
pub fn container_id(cgroup: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(cgroup);
    let mut best: Option<(usize, &str)> = None;
    for line in text.lines() {
        let Some(path) = line.splitn(3, ':').nth(2) else { continue };
        for (depth, part) in path.split('/').enumerate() {
            let name = part.strip_suffix(".scope").unwrap_or(part);
            // systemd's form has a prefix; containerd with systemd also writes SLICE:cri-containerd:ID.
            let id = name.rsplit(['-', ':']).next().unwrap_or(name);
            let is_id = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
            // Hierarchies of cgroup v1 can differ in depth; the deepest one knows most.
            if is_id && best.is_none_or(|(known, _)| depth > known) {
                best = Some((depth, id));
            }
        }
    }
    best.map(|(_, id)| id.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_container_is_found_in_every_notation() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let cases = [
            (format!("0::/kubepods/burstable/pod1/{a}/docker/{b}/kubelet/kubepods"), Some(&b)),
            (format!("11:pids:/kubepods/{a}\n1:name=systemd:/kubepods/{a}/docker/{b}\n0::/\n"), Some(&b)),
            (format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{a}.scope"), Some(&a)),
            (format!("0::/system.slice:cri-containerd:{a}"), Some(&a)),
            (format!("0::/machine.slice/crio-{a}.scope/container"), Some(&a)),
            ("0::/system.slice/kubelet.service".to_owned(), None),
            (String::new(), None),
        ];
        for (text, expected) in cases {
            assert_eq!(container_id(text.as_bytes()).as_ref(), expected, "{text}");
        }
    }
}
