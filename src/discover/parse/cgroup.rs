//! `/proc/PID/cgroup`: which container does a process belong to?

/// The innermost container named in a cgroup path: 64 hex digits as containerd, CRI-O, Docker and Podman write them, also as
/// `cri-containerd-ID.scope`, `crio-ID.scope`, `docker-ID.scope`, `libpod-ID.scope`; the name of an LXC container
/// (`lxc.payload.NAME`) or of a machine of systemd (`machine-NAME.scope`). The scope of a monitor (`crio-conmon-ID.scope`) is none.
pub fn container_id(cgroup: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(cgroup);
    let mut best: Option<(usize, String)> = None;
    for line in text.lines() {
        let Some(path) = line.splitn(3, ':').nth(2) else { continue };
        for (depth, part) in path.split('/').enumerate() {
            // Hierarchies of cgroup v1 can differ in depth; the deepest one knows most.
            if let Some(id) = container(part)
                && best.as_ref().is_none_or(|(known, _)| depth > *known)
            {
                best = Some((depth, id));
            }
        }
    }
    best.map(|(_, id)| id)
}

/// The last part of a cgroup's path that names a unit of systemd, for a container that has no other name.
pub fn unit(cgroup: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(cgroup);
    let mut parts = text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).flat_map(|path| path.split('/'));
    let is_unit = |part: &&str| {
        let bare = part.strip_suffix(".service").or_else(|| part.strip_suffix(".scope"));
        bare.is_some_and(|bare| bare != "init" && !bare.starts_with("session-"))
    };
    parts.rfind(is_unit).map(str::to_owned)
}

fn container(part: &str) -> Option<String> {
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return Some(name.to_owned());
    }
    let name = part.strip_suffix(".scope").unwrap_or(part);
    if let Some(machine) = name.strip_prefix("machine-").filter(|_| name.len() < part.len()) {
        return Some(machine.replace("\\x2d", "-"));
    }
    if let Some(machine) = part.strip_prefix("systemd-nspawn@").and_then(|rest| rest.strip_suffix(".service")) {
        return Some(machine.replace("\\x2d", "-"));
    }
    // systemd's form has a prefix; containerd with systemd also writes SLICE:cri-containerd:ID.
    let (prefix, id) = name.rsplit_once(['-', ':']).unwrap_or(("", name));
    let is_id = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    (is_id && !prefix.ends_with("conmon")).then(|| id.to_ascii_lowercase())
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
            (format!("0::/kubepods.slice/crio-conmon-{a}.scope"), None),
            (format!("0::/machine.slice/libpod-conmon-{a}.scope"), None),
            (format!("0::/machine.slice/libpod-{a}.scope/container"), Some(&a)),
            (format!("0::/lxc.payload.builder/system.slice/docker-{b}.scope"), Some(&b)),
            ("0::/system.slice/kubelet.service".to_owned(), None),
            (String::new(), None),
        ];
        for (text, expected) in cases {
            assert_eq!(container_id(text.as_bytes()).as_ref(), expected, "{text}");
        }
    }

    #[test]
    fn containers_of_other_kinds_have_names() {
        let name = |path: &str| container_id(format!("0::{path}").as_bytes());
        assert_eq!(name("/lxc.payload.ci-1/init.scope"), Some("ci-1".to_owned()));
        assert_eq!(name("/machine.slice/machine-deb\\x2d13.scope/payload"), Some("deb-13".to_owned()));
        assert_eq!(name("/machine.slice/systemd-nspawn@build.service/payload"), Some("build".to_owned()));
        assert_eq!(name("/lxc.monitor.ci-1"), None);
        assert_eq!(unit(b"0::/system.slice/builder.service/init.scope"), Some("builder.service".to_owned()));
        assert_eq!(unit(b"0::/init.scope"), None);
    }
}
