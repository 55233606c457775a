//! Are layers found in a whole /proc, kept, and forgotten? The tree's own rules are tested beside `discover/tree.rs`.

use crate::fake_proc::{
    DOCKERD, Fake, FakeProc, HOST_CONTAINERD, HOST_KUBELET, node_containerd, node_kubelet, prow_node,
};
use highwater::access::proc::Procfs;
use highwater::discover::{Carrier, FoundLayer, Learned, Scanner, layers};
use highwater::sample::{AbsenceReason, RuntimeKind};

fn scan(scanner: &mut Scanner, procfs: &Procfs) -> Vec<FoundLayer> {
    layers(&scanner.scan(procfs).unwrap(), &Learned::default())
}

/// Runtime, parent and kubelet of each layer.
fn pids(found: &[FoundLayer]) -> Vec<(u32, Option<u32>, Option<u32>)> {
    found.iter().map(|l| (l.key.pid, l.parent.map(|p| p.pid), l.kubelet.as_ref().map(|k| k.pid))).collect()
}

fn expected(nodes: u32) -> Vec<(u32, Option<u32>, Option<u32>)> {
    let mut all = vec![(HOST_CONTAINERD, None, Some(HOST_KUBELET)), (DOCKERD, Some(HOST_CONTAINERD), None)];
    all.extend((0..nodes).map(|n| (node_containerd(n), Some(DOCKERD), Some(node_kubelet(n)))));
    all
}

#[test]
fn six_layers_are_found_among_five_thousand_processes_and_stay() {
    let proc = FakeProc::new();
    prow_node(&proc, 4, 5_000);
    let procfs = Procfs::open(proc.path()).unwrap();
    let mut scanner = Scanner::new();
    let found = scan(&mut scanner, &procfs);
    assert_eq!(pids(&found), expected(4));
    assert_eq!(found[1].runtime, Some(RuntimeKind::Docker));
    assert_eq!(found[2].container.as_ref().unwrap().id, format!("{:064x}", 10));
    for _ in 0..40 {
        assert_eq!(scan(&mut scanner, &procfs), found);
    }
}

#[test]
fn a_node_that_ends_is_gone_in_the_next_round_and_a_new_one_there() {
    let proc = FakeProc::new();
    prow_node(&proc, 2, 50);
    let procfs = Procfs::open(proc.path()).unwrap();
    let mut scanner = Scanner::new();
    scan(&mut scanner, &procfs);
    proc.remove(node_containerd(1));
    proc.remove(node_kubelet(1));
    assert_eq!(pids(&scan(&mut scanner, &procfs)), expected(1));
    let again = FakeProc::new();
    prow_node(&again, 2, 0);
    std::fs::rename(again.path().join("2110"), proc.path().join("2110")).unwrap();
    std::fs::rename(again.path().join("2111"), proc.path().join("2111")).unwrap();
    assert_eq!(pids(&scan(&mut scanner, &procfs)), expected(2));
}

#[test]
fn a_shell_that_becomes_a_kubelet_is_noticed() {
    let proc = FakeProc::new();
    proc.add(&Fake { pid: 1, parent: 0, comm: "init", argv: &["init"], cgroup: "/", depth: 1 });
    let procfs = Procfs::open(proc.path()).unwrap();
    let mut scanner = Scanner::new();
    scan(&mut scanner, &procfs);
    proc.add(&Fake { pid: 7, parent: 1, comm: "sh", argv: &["sh", "-c", "exec kubelet"], cgroup: "/", depth: 1 });
    assert_eq!(pids(&scan(&mut scanner, &procfs)), [(0, None, None)]);
    proc.exec(7, 1, "kubelet", &["kubelet"]);
    let mut rounds = 1;
    while pids(&scan(&mut scanner, &procfs)) != [(0, None, Some(7))] {
        rounds += 1;
        assert!(rounds < 4, "a new process is looked at again soon");
    }
}

#[test]
fn a_pid_that_goes_to_another_process_is_another_layer() {
    let proc = FakeProc::new();
    prow_node(&proc, 1, 0);
    let procfs = Procfs::open(proc.path()).unwrap();
    let mut scanner = Scanner::new();
    let before = scan(&mut scanner, &procfs);
    let stat = proc.path().join(format!("{HOST_CONTAINERD}/stat"));
    let text = std::fs::read_to_string(&stat).unwrap();
    std::fs::write(&stat, text.replace(" 10100 ", " 99999 ")).unwrap();
    let after = scan(&mut scanner, &procfs);
    assert_ne!(before[0].key, after[0].key);
    assert_eq!(after[0].key.start_ticks, 99_999);
    assert_eq!(after[1].parent, Some(after[0].key));
}

#[test]
fn processes_whose_entries_cannot_be_read_are_left_out() {
    let proc = FakeProc::new();
    prow_node(&proc, 1, 0);
    // As with hidepid, or a process that ends while it is read.
    for entry in ["stat", "comm"] {
        std::fs::remove_file(proc.path().join(format!("{}/{entry}", node_containerd(0)))).unwrap();
    }
    std::fs::remove_file(proc.path().join(format!("{HOST_KUBELET}/cmdline"))).unwrap();
    let procfs = Procfs::open(proc.path()).unwrap();
    let found = scan(&mut Scanner::new(), &procfs);
    assert_eq!(pids(&found), [(HOST_CONTAINERD, None, Some(HOST_KUBELET)), (DOCKERD, Some(HOST_CONTAINERD), None)]);
}

#[test]
fn an_empty_proc_is_one_bare_layer() {
    let proc = FakeProc::new();
    let procfs = Procfs::open(proc.path()).unwrap();
    assert_eq!(pids(&scan(&mut Scanner::new(), &procfs)), [(0, None, None)]);
}

/// Name, arguments and cgroup.
type Monitor<'a> = (&'a str, &'a [&'a str], &'a str);

/// A container whose monitor is one process, its first process another, and in it Docker with a node.
fn nested(monitor: Monitor<'_>, cgroup: &str, depth: usize) -> (FakeProc, Vec<FoundLayer>) {
    let proc = FakeProc::new();
    let add = |pid, parent, comm, argv: &[&str], cgroup: &str, depth| {
        proc.add(&Fake { pid, parent, comm, argv, cgroup, depth });
    };
    add(1, 0, "systemd", &["/sbin/init"], "/init.scope", 1);
    add(100, 1, "crio", &["/usr/bin/crio"], "/system.slice/crio.service", 1);
    let endpoint = "--container-runtime-endpoint=/var/run/crio/crio.sock";
    add(110, 1, "kubelet", &["/usr/bin/kubelet", endpoint], "/system.slice/kubelet.service", 1);
    let (comm, argv, monitors_cgroup) = monitor;
    add(200, 1, comm, argv, monitors_cgroup, 1);
    add(201, 200, "sh", &["sh"], cgroup, depth);
    add(301, 201, "dockerd", &["dockerd"], cgroup, depth);
    add(
        302,
        301,
        "containerd",
        &["containerd", "--config", "/var/run/docker/containerd/containerd.toml"],
        cgroup,
        depth,
    );
    let node = format!("{:064x}", 4);
    let address = "/var/run/docker/containerd/containerd.sock";
    let shim = ["/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", &node, "-address", address];
    add(310, 302, "containerd-shim", &shim, cgroup, depth);
    let inner = format!("{cgroup}/docker/{node}/init.scope");
    add(311, 310, "systemd", &["/sbin/init"], &inner, depth + 1);
    add(320, 311, "containerd", &["/usr/local/bin/containerd"], &inner, depth + 1);
    add(321, 311, "kubelet", &["/usr/bin/kubelet"], &inner, depth + 1);
    let procfs = Procfs::open(proc.path()).unwrap();
    let found = scan(&mut Scanner::new(), &procfs);
    (proc, found)
}

#[test]
fn a_container_keeps_its_place_whatever_its_monitor_is() {
    let id = format!("{:064x}", 1);
    let pod = format!("/kubepods.slice/kubepods-pod1.slice/crio-{id}.scope");
    let conmon = format!("/kubepods.slice/kubepods-pod1.slice/crio-conmon-{id}.scope");
    let argv = ["/usr/bin/conmon", "-b", "/x", "-c", &id];
    let cases: [(Monitor<'_>, &str, &str); 7] = [
        (("conmon", &argv, &conmon), &pod, &id),
        (("crio-conmon", &argv, &conmon), &pod, &id),
        (("conmonrs", &["/usr/bin/conmonrs", "--runtime", "crun"], "/kubepods.slice/kubepods-pod1.slice"), &pod, &id),
        (("lxc-start", &["[lxc monitor] /var/lib/lxc ci"], "/lxc.monitor.ci"), "/lxc.payload.ci", "ci"),
        (("incusd", &["[lxc monitor] /x builder"], "/lxc.monitor.b"), "/lxc.payload.builder/x.service", "builder"),
        (("systemd-nspawn", &["systemd-nspawn"], "/machine.slice"), "/machine.slice/machine-deb.scope/payload", "deb"),
        (
            ("rootlesskit", &["rootlesskit"], "/user.slice/docker.service"),
            "/user.slice/docker.service",
            "docker.service",
        ),
    ];
    for (monitor, cgroup, name) in cases {
        let (_proc, found) = nested(monitor, cgroup, 2);
        assert_eq!(
            pids(&found),
            [(100, None, Some(110)), (301, Some(100), None), (320, Some(301), Some(321))],
            "{}",
            monitor.0
        );
        assert_eq!(found[1].container.as_ref().unwrap().id, name, "{}", monitor.0);
    }
}

#[test]
fn a_container_in_the_machines_pid_namespace_shows_by_its_cgroup() {
    let id = format!("{:064x}", 1);
    let pod = format!("/kubepods.slice/crio-{id}.scope");
    // Whoever started it has ended: its parent is the machine's first process.
    let proc = FakeProc::new();
    let add = |pid, comm, argv: &[&str], cgroup: &str| {
        proc.add(&Fake { pid, parent: 1, comm, argv, cgroup, depth: 1 });
    };
    proc.add(&Fake { pid: 1, parent: 0, comm: "systemd", argv: &["init"], cgroup: "/init.scope", depth: 1 });
    add(100, "crio", &["crio"], "/system.slice/crio.service");
    add(301, "dockerd", &["dockerd"], &pod);
    add(302, "containerd", &["containerd", "--config", "/var/run/docker/containerd/containerd.toml"], &pod);
    let procfs = Procfs::open(proc.path()).unwrap();
    let found = scan(&mut Scanner::new(), &procfs);
    assert_eq!(pids(&found), [(100, None, None), (301, Some(100), None)]);
    assert_eq!(found[1].container.as_ref().unwrap().id, id);
}

/// A machine with containerd and a process that may serve as a kubelet does.
fn serving(comm: &str, argv: &[&str]) -> FakeProc {
    let proc = FakeProc::new();
    proc.add(&Fake { pid: 1, parent: 0, comm: "systemd", argv: &["init"], cgroup: "/", depth: 1 });
    proc.add(&Fake { pid: 10, parent: 1, comm: "containerd", argv: &["containerd"], cgroup: "/", depth: 1 });
    proc.add(&Fake { pid: 20, parent: 1, comm, argv, cgroup: "/", depth: 1 });
    proc.listen(20, 777, "/data/kubelet/pod-resources/kubelet.sock");
    // What a process lists is what its network namespace has.
    std::fs::create_dir_all(proc.path().join("1/net")).unwrap();
    std::fs::copy(proc.path().join("20/net/unix"), proc.path().join("1/net/unix")).unwrap();
    proc
}

#[test]
fn a_kubelet_of_any_name_is_known_by_the_socket_that_it_serves() {
    for (comm, argv, carrier) in [
        ("node-agent", &["node-agent", "--all-in-one"][..], Carrier::Other),
        ("kl", &["kl", "--root-dir=/data/kubelet"], Carrier::Kubelet),
        ("distribution", &["distribution start"], Carrier::Other),
    ] {
        let proc = serving(comm, argv);
        let procfs = Procfs::open(proc.path()).unwrap();
        let mut scanner = Scanner::new();
        let found = scan(&mut scanner, &procfs);
        assert_eq!(pids(&found), [(10, None, Some(20))], "{comm}");
        assert_eq!(found[0].kubelet.as_ref().unwrap().carrier, carrier, "{comm}");
        for _ in 0..40 {
            assert_eq!(scan(&mut scanner, &procfs), found, "{comm}");
        }
    }
    let held_by_nobody = serving("node-agent", &["node-agent"]);
    std::fs::remove_file(held_by_nobody.path().join("20/fd/777")).unwrap();
    let procfs = Procfs::open(held_by_nobody.path()).unwrap();
    assert_eq!(pids(&scan(&mut Scanner::new(), &procfs)), [(10, None, None)]);
}

#[test]
fn a_container_without_the_machines_processes_is_blind_and_says_what_to_do() {
    let blind = |build: &dyn Fn(&FakeProc)| {
        let proc = FakeProc::new();
        proc.add(&Fake { pid: 1, parent: 0, comm: "highwater", argv: &["highwater"], cgroup: "/", depth: 1 });
        build(&proc);
        let mut scanner = Scanner::new();
        scanner.scan(&Procfs::open(proc.path()).unwrap()).unwrap();
        scanner.blind()
    };
    let id = "a".repeat(64);
    assert_eq!(blind(&|_| {}), None, "nothing says that it is a container");
    let variables = |proc: &FakeProc| proc.set_environment(1, &["PATH=/bin", "KUBERNETES_SERVICE_HOST=192.0.2.1"]);
    let absence = blind(&variables).unwrap();
    assert_eq!(absence.reason, AbsenceReason::Blind);
    assert!(absence.detail.as_str().contains("hostPID: true"), "{absence}");
    let cgroup =
        |proc: &FakeProc| std::fs::write(proc.path().join("1/cgroup"), format!("0::/kubepods/{id}\n")).unwrap();
    assert!(blind(&cgroup).is_some());
    let overlay = "1 0 0:30 / / rw - overlay overlay rw\n";
    assert!(blind(&|proc| std::fs::write(proc.path().join("1/mountinfo"), overlay).unwrap()).is_some());
    let of_machine = |proc: &FakeProc| {
        variables(proc);
        proc.add(&Fake { pid: 2, parent: 0, comm: "kthreadd", argv: &[], cgroup: "/", depth: 1 });
    };
    assert_eq!(blind(&of_machine), None, "it has the machine's pid namespace");
    let with_runtime = |proc: &FakeProc| {
        variables(proc);
        proc.add(&Fake { pid: 7, parent: 1, comm: "dockerd", argv: &["dockerd"], cgroup: "/", depth: 1 });
    };
    assert_eq!(blind(&with_runtime), None, "there is something to watch");
}
