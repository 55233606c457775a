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
        pid_depth: 1 + containers.len(),
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
        process(110, 1, Role::Kubelet(Carrier::Kubelet), "kubelet --config=/var/lib/kubelet/config.yaml", &[]),
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
            Role::Kubelet(Carrier::Kubelet),
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
    let found = layers(&three_layers(), &Learned::default());
    assert_eq!(
        parents(&found),
        [(100, None, Some(110)), (210, Some(100), None), (310, Some(210), Some(311)), (410, Some(210), None)]
    );
}

#[test]
fn the_order_of_processes_does_not_matter() {
    let mut reversed = three_layers();
    reversed.reverse();
    assert_eq!(layers(&reversed, &Learned::default()), layers(&three_layers(), &Learned::default()));
}

#[test]
fn a_machine_without_a_runtime_is_one_layer() {
    let found = layers(&[], &Learned::default());
    assert_eq!(parents(&found), [(0, None, None)]);
    assert_eq!(found[0].runtime, None);
}

#[test]
fn layers_below_a_runtime_that_cannot_be_seen_hang_below_the_machine() {
    let nested: Vec<Process> = three_layers().into_iter().filter(|p| p.pid != HOST).collect();
    let found = layers(&nested, &Learned::default());
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
    assert_eq!(parents(&layers(&shared, &Learned::default())), [(11, None, None), (30, Some(11), None)]);

    let mut with_kubelet = shared;
    with_kubelet.push(process(12, 1, Role::Kubelet(Carrier::Kubelet), "kubelet", &[]));
    assert_eq!(
        parents(&layers(&with_kubelet, &Learned::default())),
        [(10, None, Some(12)), (11, None, None), (30, Some(11), None)],
        "a kubelet makes it a layer of its own"
    );
}

#[test]
fn two_runtimes_of_one_machine_are_told_apart_by_their_sockets() {
    let processes = vec![
        process(10, 1, Role::Containerd, "containerd", &[]),
        process(11, 1, Role::Containerd, "containerd --config /etc/lab.toml", &[]),
        process(12, 1, Role::Kubelet(Carrier::Kubelet), "kubelet --config /etc/lab.yaml", &[]),
        process(30, 21, Role::Dockerd, "dockerd", &[container(20, "k8s.io", "/run/lab.sock")]),
    ];
    let learned = Learned {
        kubelets: [(12, Driven::At(Socket::named("unix:///run/lab.sock")))].into(),
        listens: [(11, Socket::named("/run/lab.sock"))].into(),
        ..Learned::default()
    };
    assert_eq!(parents(&layers(&processes, &learned)), [(11, None, Some(12)), (10, None, None), (30, Some(11), None)]);
}

#[test]
fn k3s_drives_the_containerd_that_it_started() {
    let node = [container(20, "moby", "/run/containerd/containerd.sock")];
    let processes = vec![
        process(10, 1, Role::Dockerd, "dockerd --containerd=/run/containerd/containerd.sock", &[]),
        process(30, 21, Role::Kubelet(Carrier::K3s), "k3s server", &node),
        process(31, 30, Role::Containerd, "containerd -c /var/lib/rancher/k3s/agent/etc/containerd/config.toml", &node),
    ];
    let found = layers(&processes, &Learned::default());
    assert_eq!(parents(&found), [(10, None, None), (31, Some(10), Some(30))]);
    assert_eq!(found[1].kubelet.as_ref().map(|k| k.carrier), Some(Carrier::K3s));
}

#[test]
fn the_fork_of_a_runtime_is_no_layer() {
    let processes = vec![
        process(10, 1, Role::Containerd, "containerd --config /etc/a.toml", &[]),
        process(11, 10, Role::Containerd, "containerd --config /etc/a.toml", &[]),
    ];
    assert_eq!(parents(&layers(&processes, &Learned::default())), [(10, None, None)]);
}

#[test]
fn sockets_are_compared_without_scheme_and_var() {
    assert!(same_socket("unix:///var/run/docker.sock", "/run/docker.sock"));
    assert!(!same_socket("/run/a.sock", "/run/b.sock"));
}

fn at(path: &str) -> Driven {
    Driven::At(Socket::named(path))
}

/// The runtime and the kubelet of every layer with a kubelet.
fn driven(processes: &[Process], learned: &Learned) -> Vec<(u32, u32)> {
    let found = layers(processes, learned);
    found.iter().filter_map(|layer| Some((layer.key.pid, layer.kubelet.as_ref()?.pid))).collect()
}

#[test]
fn a_kubelet_in_a_container_drives_the_runtime_around_it_only_in_the_pid_namespace_of_that() {
    let container = container(20, "system", "/run/containerd/containerd.sock");
    let machine = process(10, 1, Role::Containerd, "containerd", &[]);
    let kubelet = |depth| Process {
        pid_depth: depth,
        ..process(21, 20, Role::Kubelet(Carrier::Kubelet), "kubelet --config=/x", std::slice::from_ref(&container))
    };
    assert_eq!(driven(&[machine.clone(), kubelet(1)], &Learned::default()), [(10, 21)], "Talos");
    // A node in a container whose own containerd has ended.
    assert_eq!(driven(&[machine, kubelet(2)], &Learned::default()), []);
}

#[test]
fn a_kubelet_by_cri_dockerd_drives_docker_wherever_that_runs() {
    let container = container(20, "moby", "/run/containerd/containerd.sock");
    let inside = std::slice::from_ref(&container);
    let in_machines_namespace = |process: Process| Process { pid_depth: 1, ..process };
    let kubelet = "kubelet --container-runtime-endpoint=unix:///var/run/cri-dockerd.sock";
    let rke = [
        process(10, 1, Role::Containerd, "containerd", &[]),
        process(11, 1, Role::Dockerd, "dockerd --containerd=/run/containerd/containerd.sock", &[]),
        in_machines_namespace(process(21, 20, Role::Kubelet(Carrier::Kubelet), kubelet, inside)),
        in_machines_namespace(process(22, 21, Role::CriDockerd, "cri-dockerd", inside)),
    ];
    assert_eq!(driven(&rke, &Learned::default()), [(11, 21)], "both in one container, Docker outside");
    let minikube = [
        process(10, 1, Role::Containerd, "containerd", &[]),
        process(11, 1, Role::Dockerd, "dockerd", &[]),
        process(12, 1, Role::CriDockerd, "cri-dockerd --container-runtime-endpoint fd://", &[]),
        process(13, 1, Role::Kubelet(Carrier::Kubelet), "kubelet --config=/x", &[]),
    ];
    let learned = Learned { kubelets: [(13, at("unix:///var/run/cri-dockerd.sock"))].into(), ..Learned::default() };
    assert_eq!(driven(&minikube, &learned), [(11, 13)], "cri-dockerd at a socket that systemd opened");
    let mut second = minikube.to_vec();
    second.push(process(14, 1, Role::Dockerd, "dockerd -H unix:///run/second.sock", &[]));
    second[2] = process(12, 1, Role::CriDockerd, "cri-dockerd --docker-endpoint unix:///run/second.sock", &[]);
    assert_eq!(driven(&second, &learned), [(14, 13)], "cri-dockerd was told which Docker");
    let old = Learned { kubelets: [(13, Driven::Dockershim)].into(), ..Learned::default() };
    assert_eq!(driven(&minikube, &old), [(11, 13)], "a kubelet's own dockershim");
}

#[test]
fn a_kubelet_whose_runtime_is_not_there_drives_no_other() {
    let machine = [
        process(10, 1, Role::Containerd, "containerd", &[]),
        process(11, 1, Role::Kubelet(Carrier::Kubelet), "kubelet --config=/x", &[]),
    ];
    for endpoint in ["unix:///run/k0s/containerd.sock", "/var/run/crio/crio.sock", "unix:///run/cri-dockerd.sock"] {
        let learned = Learned { kubelets: [(11, at(endpoint))].into(), ..Learned::default() };
        assert_eq!(driven(&machine, &learned), [], "{endpoint}");
    }
    let unread = Learned { kubelets: [(11, Driven::Unknown)].into(), ..Learned::default() };
    assert_eq!(driven(&machine, &unread), [(10, 11)], "where there is no choice it needs no telling");
    let mut two = machine.to_vec();
    two.push(process(12, 1, Role::Crio, "crio", &[]));
    assert_eq!(driven(&two, &unread), []);
}

#[test]
fn k3s_beside_docker_takes_its_own_containerd_or_docker_as_it_was_told() {
    let machine = [
        process(10, 1, Role::Containerd, "/usr/bin/containerd", &[]),
        process(11, 1, Role::Dockerd, "dockerd --containerd=/run/containerd/containerd.sock", &[]),
        process(20, 1, Role::Kubelet(Carrier::K3s), "k3s server", &[]),
        process(21, 20, Role::Containerd, "containerd -c /var/lib/rancher/k3s/agent/etc/containerd/config.toml", &[]),
    ];
    let told = |endpoint| Learned {
        kubelets: [(20, at(endpoint))].into(),
        listens: [(21, Socket::named("/run/k3s/containerd/containerd.sock"))].into(),
        ..Learned::default()
    };
    assert_eq!(driven(&machine, &told("/run/k3s/containerd/containerd.sock")), [(21, 20)]);
    let without_child = machine.get(..3).unwrap();
    assert_eq!(driven(without_child, &told("unix:///run/k3s/cri-dockerd/cri-dockerd.sock")), [(11, 20)]);
    assert_eq!(driven(without_child, &told("/run/k3s/containerd/containerd.sock")), [], "its containerd starts anew");
    let off = Learned { kubelets: [(20, Driven::Off)].into(), ..Learned::default() };
    assert_eq!(driven(&machine, &off), [], "a server without an agent");
}

#[test]
fn a_socket_of_another_path_is_the_same_where_it_is_the_same_file_or_its_listener_is_known() {
    let machine = [
        process(10, 1, Role::Containerd, "containerd", &[]),
        process(11, 1, Role::Containerd, "containerd -c /etc/second.toml", &[]),
        process(12, 1, Role::Kubelet(Carrier::Kubelet), "kubelet --config=/x", &[]),
    ];
    let file = Some(FileId { dev: 1, ino: 2 });
    let linked = Learned {
        kubelets: [(12, Driven::At(Socket { file, ..Socket::named("/srv/cri.sock") }))].into(),
        listens: [(11, Socket { file, ..Socket::named("/run/second.sock") })].into(),
        ..Learned::default()
    };
    assert_eq!(driven(&machine, &linked), [(11, 12)]);
    let held = Learned {
        kubelets: [(12, Driven::At(Socket { holder: Some(11), ..Socket::named("/srv/cri.sock") }))].into(),
        ..Learned::default()
    };
    assert_eq!(driven(&machine, &held), [(11, 12)]);
    // Somebody further in who was given the machine's socket is not who listens there.
    let mut stolen = machine.to_vec();
    let pod = container(30, "k8s.io", "/run/containerd/containerd.sock");
    stolen[1] = process(31, 30, Role::Containerd, "containerd", &[pod]);
    let given = Learned {
        kubelets: [(12, Driven::At(Socket { file, ..Socket::named("/run/containerd/containerd.sock") }))].into(),
        listens: [(31, Socket { file, ..Socket::named("/host/containerd.sock") })].into(),
        ..Learned::default()
    };
    assert_eq!(driven(&stolen, &given), [(10, 12)]);
}

#[test]
fn docker_uses_the_containerd_that_it_finds_and_a_kubelet_beside_it_drives_docker() {
    let machine = [
        process(10, 1, Role::Containerd, "containerd", &[]),
        process(11, 1, Role::Dockerd, "dockerd -H fd://", &[]),
        process(12, 1, Role::Kubelet(Carrier::Kubelet), "kubelet --config=/x", &[]),
    ];
    let learned = Learned {
        kubelets: [(12, at("unix:///run/cri-dockerd.sock"))].into(),
        containerd_of: [(11, "/run/containerd/containerd.sock".to_owned())].into(),
        ..Learned::default()
    };
    let found = layers(&machine, &learned);
    assert_eq!(parents(&found), [(11, None, Some(12))]);
    assert_eq!(found[0].containerd.map(|key| key.pid), Some(10));
}

#[test]
fn who_starts_a_kubelet_is_none() {
    let machine = [
        process(10, 1, Role::Containerd, "containerd", &[]),
        process(11, 1, Role::Kubelet(Carrier::Other), "supervisor --root-dir=/x", &[]),
        process(12, 11, Role::Kubelet(Carrier::Kubelet), "kubelet --config=/x", &[]),
        process(13, 12, Role::Kubelet(Carrier::Kubelet), "kubelet --config=/x", &[]),
    ];
    assert_eq!(driven(&machine, &Learned::default()), [(10, 12)], "neither its supervisor nor its fork");
}

#[test]
fn a_container_of_another_kind_lies_in_the_layer_that_lives_where_it_was_made() {
    let lxc = ContainerRef { id: "builder".to_owned(), ..container(20, "", "") };
    let node = container(40, "moby", PRIVATE);
    let processes = [
        process(10, 1, Role::Containerd, "containerd", &[]),
        process(11, 1, Role::Kubelet(Carrier::Kubelet), "kubelet", &[]),
        process(30, 21, Role::Dockerd, "dockerd", std::slice::from_ref(&lxc)),
        process(50, 41, Role::Containerd, "containerd", &[node.clone(), lxc.clone()]),
        // Docker in a container of Podman in that one.
        process(70, 61, Role::Dockerd, "dockerd", &[container(60, "", ""), node, lxc]),
    ];
    let found = layers(&processes, &Learned::default());
    assert_eq!(
        parents(&found),
        [(10, None, Some(11)), (30, Some(10), None), (50, Some(30), None), (70, Some(50), None)]
    );
}
