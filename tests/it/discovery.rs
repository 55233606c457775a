//! Are layers found in a whole /proc, kept, and forgotten? The tree's own rules are tested beside `discover/tree.rs`.

use crate::fake_proc::{
    DOCKERD, Fake, FakeProc, HOST_CONTAINERD, HOST_KUBELET, node_containerd, node_kubelet, prow_node,
};
use highwater::access::proc::Procfs;
use highwater::discover::{FoundLayer, Learned, Scanner, layers};
use highwater::sample::RuntimeKind;

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
