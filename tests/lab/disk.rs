//! Is the disk measured as `stat -f` measures it, and does headroom follow what is written?

use crate::lab::{Lab, Space};
use crate::layers::complete;
use crate::snapshot::{Filesystem, Snapshot};
use crate::wait::{now, until};
use std::collections::BTreeMap;

const MIB: u64 = 1 << 20;

fn space_of(disk: &Filesystem) -> Option<Space> {
    Some(Space {
        size: disk.size_bytes?,
        free: disk.free_bytes?,
        available: disk.avail_bytes?,
        files: disk.files?,
        files_free: disk.files_free?,
    })
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn one_disk_carries_all_layers_and_is_measured_as_stat_measures_it() {
    let lab = Lab::take();
    let (agent, facts, _) = complete(&lab);
    // Kubelets and runtimes write now and then; a sample between two equal answers of `stat -f` must be equal to both.
    let (snapshot, space) = until("a sample while the disk is quiet", || {
        let before = lab.space();
        let (snapshot, ()) = agent.snapshot_after(now(), "a round", |_| Ok(()));
        let after = lab.space();
        if before == after { Ok((snapshot, after)) } else { Err(format!("{before:?}, then {after:?}")) }
    });

    let disk = snapshot.disk().expect("one filesystem");
    assert_eq!(space_of(disk), Some(space));
    assert_eq!(disk.used_bytes, Some(space.size - space.free));
    assert_eq!(disk.device_number, facts.disk.device_number);
    assert_eq!(disk.device, facts.disk.device);
    assert_eq!(disk.mountpoint, facts.disk.mountpoint.to_string_lossy());
    assert!(!disk.stuck && !snapshot.stale);
    for layer in &snapshot.layers {
        let place = (layer.device.as_deref(), layer.mountpoint.as_deref());
        assert_eq!(place, (Some(&*disk.device), Some(&*disk.mountpoint)), "{}", layer.id);
    }

    // The kubelet counts what is not available as used, of all bytes; df counts used of used and available, rounded up.
    let kubelet = 100 - space.available * 100 / space.size;
    let used = space.size - space.free;
    let df = (used * 100).div_ceil(used + space.available);
    assert_eq!((disk.kubelet_percent, disk.df_percent), (Some(kubelet), Some(df)));
}

/// Headroom in bytes of every armed trigger, and inodes apart.
fn headroom(snapshot: &Snapshot) -> Result<BTreeMap<(String, String), i64>, String> {
    let triggers = snapshot.layers.iter().flat_map(|layer| layer.triggers.iter().map(move |each| (layer, each)));
    triggers
        .map(|(layer, each)| {
            let room = each.headroom.ok_or_else(|| format!("{}: no headroom yet", layer.id))?;
            Ok(((layer.id.clone(), format!("{} in {}", each.name, each.unit)), room))
        })
        .collect()
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn headroom_of_every_trigger_falls_by_the_bytes_that_are_written() {
    const WRITTEN: u64 = 512 * MIB;
    /// The idle lab was seen to write less than 40 KiB in a second (logs of its kubelets); a file of this size takes one block
    /// of extents. What the disk itself lost meanwhile is measured, and must be within this as well.
    const ELSE: u64 = MIB;

    let lab = Lab::take();
    let (agent, _, _) = complete(&lab);
    let (_, before) = agent.snapshot_after(now(), "headroom", headroom);
    let space_before = lab.space();
    lab.fill("capd-new-worker", WRITTEN);
    let lost = space_before.available - lab.space().available;
    assert!(lost.abs_diff(WRITTEN) <= ELSE, "the disk lost {lost} by a file of {WRITTEN}");
    let (_, after) = agent.snapshot_after(now(), "headroom", headroom);

    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert_eq!(before.len(), 10, "triggers of five layers: {before:?}");
    for (trigger, room) in &before {
        let fallen = (room - after[trigger]).unsigned_abs();
        let (expected, tolerance) = if trigger.1.ends_with("inodes") { (1, 16) } else { (WRITTEN, ELSE) };
        assert!(fallen.abs_diff(expected) <= tolerance, "{trigger:?}: fell by {fallen}, not by {expected}");
    }

    lab.verb(&["unfill"]);
    let (_, again) = agent.snapshot_after(now(), "headroom", headroom);
    for (trigger, room) in &before {
        let tolerance = if trigger.1.ends_with("inodes") { 16 } else { 2 * ELSE };
        assert!(room.abs_diff(again[trigger]) <= tolerance, "{trigger:?} is what it was: {room}, {}", again[trigger]);
    }
}
