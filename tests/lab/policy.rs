//! Is each kubelet's policy the one it was given, and does each trigger strike where the kubelet would?

use crate::facts::Eviction;
use crate::lab::Lab;
use crate::layers::{complete, pairs};
use crate::snapshot::{Snapshot, Threshold};
use crate::{facts, layers};
use std::collections::BTreeMap;

/// Every layer's policy is the one of the lab, with its origin.
///
/// # Panics
///
/// Where it is not.
pub(crate) fn assert_policies(snapshot: &Snapshot, facts: &facts::Facts) {
    for (found, told) in pairs(snapshot, facts) {
        let name = &told.name;
        let (Some(found), Some(told)) = (&found.policy, &told.policy) else {
            assert!(found.policy.is_none() && told.policy.is_none(), "{name}: a policy where a kubelet is");
            continue;
        };
        let (high, low) = (&found.image_gc_high_threshold_percent, &found.image_gc_low_threshold_percent);
        let gc = &told.image_gc;
        assert_eq!(found.image_gc_enabled, gc.enabled, "{name}: image GC");
        assert_eq!((high.value, &high.origin), (gc.high, &gc.high_origin), "{name}: high threshold");
        assert_eq!((low.value, &low.origin), (gc.low, &gc.low_origin), "{name}: low threshold");
        assert_eq!(evictions(&found.eviction_hard), in_force(&told.eviction_hard), "{name}: hard evictions");
        assert_eq!(found.problems, Vec::<String>::new(), "{name}: problems");
    }
}

type Evictions = BTreeMap<String, (String, String)>;

fn evictions(found: &[Threshold]) -> Evictions {
    let percent = |threshold: &Threshold| threshold.fraction.map_or_else(|| "?".to_owned(), |f| format!("{f}"));
    found.iter().map(|each| (each.signal.clone(), (percent(each), each.origin.clone()))).collect()
}

/// What of the written thresholds concerns a disk and is in force: 0 % means off.
fn in_force(told: &Eviction) -> Evictions {
    let fraction = |percent: &str| match percent {
        "5%" => "0.05",
        "10%" => "0.1",
        "15%" => "0.15",
        other => panic!("the lab has a new threshold: {other}"),
    };
    told.thresholds
        .iter()
        .filter(|(signal, value)| *signal != "memory.available" && *value != "0%")
        .map(|(signal, value)| (signal.clone(), (fraction(value).to_owned(), told.origin.clone())))
        .collect()
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn every_kubelets_policy_is_known_with_its_origin() {
    let lab = Lab::take();
    let (_agent, facts, snapshot) = complete(&lab);
    let origins: Vec<&str> = layers::pairs(&snapshot, &facts)
        .filter_map(|(found, _)| found.policy.as_ref())
        .map(|policy| &*policy.image_gc_high_threshold_percent.origin)
        .collect();
    assert_eq!(origins, ["default", "file", "default", "flag"], "the lab has them all, in the order of its layers");
    assert_policies(&snapshot, &facts);
}

/// Bytes of the disk in hundredths, rounded up: `avail * 100 / capacity` is below a whole number of percent exactly where avail is
/// below this.
fn hundredths(capacity: u64, hundredths: u64) -> u64 {
    (capacity * hundredths).div_ceil(100)
}

/// The kubelet keeps a percentage as a float32 and cuts off what it makes of it. These are 15 % and 5 % as float32, whose
/// numerators have 24 bits; they are a little more than the decimals.
const FIFTEEN: (u64, u64) = (10_066_330, 1 << 26);
const FIVE: (u64, u64) = (13_421_773, 1 << 28);

fn share(capacity: u64, (numerator, denominator): (u64, u64)) -> u64 {
    capacity * numerator / denominator
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn every_trigger_strikes_where_the_kubelet_would_and_no_other_is_armed() {
    let lab = Lab::take();
    let (_agent, facts, snapshot) = complete(&lab);
    let space = lab.space();
    // 85 % used in the kubelet's whole percents is less than 16 % available.
    let image_gc = ("image_gc", hundredths(space.size, 16));
    let full = ("disk_full", 1);
    for (found, told) in pairs(&snapshot, &facts) {
        let expected = match &*told.name {
            "host" => vec![
                image_gc,
                ("image_eviction", share(space.size, FIFTEEN)),
                // Pods are evicted by either signal; the nearer one counts.
                ("pod_eviction", share(space.size, FIFTEEN)),
                ("inode_eviction", share(space.files, FIVE)),
                full,
            ],
            "capd-old-worker" => vec![image_gc, full],
            _ => vec![full],
        };
        let armed: Vec<_> = found.triggers.iter().map(|each| (&*each.name, each.threshold)).collect();
        assert_eq!(armed, expected, "{}", told.name);
    }
}
