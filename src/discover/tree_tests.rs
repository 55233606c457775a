use super::*;

const HOST: u32 = 100;
const PRIVATE: &str = "/var/run/docker/containerd/containerd.sock";

fn process(pid: u32, parent: u32, role: Role, argv: &str, containers: &[ContainerRef]) -> Process {
    Process {
        pid,
        start_ticks: 1_000 + u64::from(pid),
        ppid: parent,
        role,
        argv: argv.split(' ').map(str::to_owned).collect(),
        containers: containers.to_vec(),
    }
}

fn container(shim_pid: u32, namespace: &str, address: &str) -> ContainerRef {
    ContainerRef {
        id: format!("id-{shim_pid}"),
        sandbox: format!("sandbox-{shim_pid}"),
        namespace: namespace.to_owned(),
        address: address.to_owned(),
        shim_pid,
        init_pid: shim_pid + 1,
    }
}

/// Host containerd and kubelet; a pod with dockerd and its private containerd; two nodes in it.
fn three_layers() -> Vec<Process> {
    let pod = container(200, "k8s.io", "/run/containerd/containerd.sock");
    let node = |shim| vec![container(shim, "moby", PRIVATE), pod.clone()];
    vec![
        process(HOST, 1, Role::Containerd, "containerd", &[]),
        process(110, 1, Role::Kubelet, "kubelet --config=/var/lib/kubelet/config.yaml", &[]),
        process(210, 201, Role::Dockerd, "dockerd -H unix:///var/run/docker.sock", std::slice::from_ref(&pod)),
        process(
            211,
            210,
            Role::Containerd,
            "containerd --config /var/run/docker/containerd/containerd.toml --address /var/run/docker/containerd/containerd.sock",
            std::slice::from_ref(&pod),
        ),
        process(310, 301, Role::Containerd, "/usr/local/bin/containerd", &node(300)),
        process(
            311,
            301,
            Role::Kubelet,
            "kubelet --container-runtime-endpoint=unix:///run/containerd/containerd.sock",
            &node(300),
        ),
        process(410, 401, Role::Containerd, "/usr/local/bin/containerd", &node(400)),
    ]
}

fn parents(found: &[FoundLayer]) -> Vec<(u32, Option<u32>, Option<u32>)> {
    found.iter().map(|l| (l.key.pid, l.parent.map(|p| p.pid), l.kubelet.as_ref().map(|k| k.pid))).collect()
}

#[test]
fn a_three_layer_node_is_one_tree_without_dockers_private_containerd() {
    let found = layers(&three_layers(), &Sockets::new());
    assert_eq!(
        parents(&found),
        [(100, None, Some(110)), (210, Some(100), None), (310, Some(210), Some(311)), (410, Some(210), None)]
    );
}

#[test]
fn the_order_of_processes_does_not_matter() {
    let mut reversed = three_layers();
    reversed.reverse();
    assert_eq!(layers(&reversed, &Sockets::new()), layers(&three_layers(), &Sockets::new()));
}

#[test]
fn a_machine_without_a_runtime_is_one_layer() {
    let found = layers(&[], &Sockets::new());
    assert_eq!(parents(&found), [(0, None, None)]);
    assert_eq!(found[0].runtime, None);
}

#[test]
fn layers_below_a_runtime_that_cannot_be_seen_hang_below_the_machine() {
    let nested: Vec<Process> = three_layers().into_iter().filter(|p| p.pid != HOST).collect();
    let found = layers(&nested, &Sockets::new());
    assert_eq!(
        parents(&found),
        [(0, None, Some(110)), (210, Some(0), None), (310, Some(210), Some(311)), (410, Some(210), None)]
    );
}

#[test]
fn a_containerd_that_docker_was_told_to_use_is_no_layer() {
    let shared = vec![
        process(10, 1, Role::Containerd, "/usr/bin/containerd", &[]),
        process(11, 1, Role::Dockerd, "dockerd -H fd:// --containerd=/run/containerd/containerd.sock", &[]),
        process(30, 21, Role::Containerd, "containerd", &[container(20, "moby", "/run/containerd/containerd.sock")]),
    ];
    assert_eq!(parents(&layers(&shared, &Sockets::new())), [(11, None, None), (30, Some(11), None)]);

    let mut with_kubelet = shared;
    with_kubelet.push(process(12, 1, Role::Kubelet, "kubelet", &[]));
    assert_eq!(
        parents(&layers(&with_kubelet, &Sockets::new())),
        [(10, None, Some(12)), (11, None, None), (30, Some(11), None)],
        "a kubelet makes it a layer of its own"
    );
}

#[test]
fn two_runtimes_of_one_machine_are_told_apart_by_their_sockets() {
    let processes = vec![
        process(10, 1, Role::Containerd, "containerd", &[]),
        process(11, 1, Role::Containerd, "containerd --config /etc/lab.toml", &[]),
        process(12, 1, Role::Kubelet, "kubelet --config /etc/lab.yaml", &[]),
        process(30, 21, Role::Dockerd, "dockerd", &[container(20, "k8s.io", "/run/lab.sock")]),
    ];
    let learned = Sockets::from([(11, "/run/lab.sock".to_owned()), (12, "unix:///run/lab.sock".to_owned())]);
    assert_eq!(parents(&layers(&processes, &learned)), [(11, None, Some(12)), (10, None, None), (30, Some(11), None)]);
}

#[test]
fn k3s_drives_the_containerd_that_it_started() {
    let node = [container(20, "moby", "/run/containerd/containerd.sock")];
    let processes = vec![
        process(10, 1, Role::Dockerd, "dockerd --containerd=/run/containerd/containerd.sock", &[]),
        process(30, 21, Role::EmbeddedKubelet, "k3s server", &node),
        process(31, 30, Role::Containerd, "containerd -c /var/lib/rancher/k3s/agent/etc/containerd/config.toml", &node),
    ];
    let found = layers(&processes, &Sockets::new());
    assert_eq!(parents(&found), [(10, None, None), (31, Some(10), Some(30))]);
    assert!(found[1].kubelet.as_ref().is_some_and(|k| k.embedded));
}

#[test]
fn the_fork_of_a_runtime_is_no_layer() {
    let processes = vec![
        process(10, 1, Role::Containerd, "containerd --config /etc/a.toml", &[]),
        process(11, 10, Role::Containerd, "containerd --config /etc/a.toml", &[]),
    ];
    assert_eq!(parents(&layers(&processes, &Sockets::new())), [(10, None, None)]);
}

#[test]
fn sockets_are_compared_without_scheme_and_var() {
    assert!(same_socket("unix:///var/run/docker.sock", "/run/docker.sock"));
    assert!(!same_socket("/run/a.sock", "/run/b.sock"));
}
