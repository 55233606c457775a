//! Whose is it? Claims of layers in, bytes by layer and component out.

use super::error::WalkError;
use super::links::Links;
use super::look::Mounts;
use super::meter::{Budget, Meter};
use super::tree::Tree;
use crate::access::AccessError;
use crate::access::deadline::SingleFlight;
use crate::access::root::{FileId, Root};
use crate::layer::LayerId;
use crate::sample::{AbsenceReason, Component, DiskUsage, LayerUsage};
use crate::time::Span;
use crate::units::Bytes;
use nix::errno::Errno;
use nix::sys::stat::fstat;
use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// A directory that belongs to a layer.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Whose it is.
    pub layer: LayerId,
    /// What it is for.
    pub component: Component,
    /// The root below which it is found.
    pub root: Arc<Root>,
    /// Who can mount something in that root.
    pub mounts: Mounts,
    /// Where, as that root sees it. Symbolic links are followed inside the root.
    pub path: PathBuf,
    /// The layer's worker, kept between walks: finding the directory hangs where the layer has a dead mount in the path.
    pub worker: SingleFlight,
}

/// The disk that is walked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its st_dev. Claims on other devices hold nothing of it and are left out.
    pub dev: u64,
    /// The layer that gets what nobody claims, as [`Component::Other`]: the outermost one.
    pub rest: LayerId,
}

/// A finished walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walked {
    /// The result.
    pub usage: DiskUsage,
    /// Directory entries that were looked at.
    pub entries: u64,
    /// Names of hard-linked files beyond [`Budget::links`]; where not 0, files whose other names lie elsewhere count in part.
    pub links_not_remembered: u64,
}

/// How long one claimed directory may take to be found.
const FIND: Duration = Duration::from_secs(2);

/// Walks everything that is claimed of `disk` and says who holds how much.
///
/// Call it on a thread of its own: it sets that thread to idle I/O priority (where this fails it goes on and logs) and sleeps
/// now and then. Where two claims name the same directory, the first one counts. A claim that is gone counts nothing, one that
/// cannot be read counts as unreadable. `used` is asked at the end, `clock` gives the time since some fixed moment.
///
/// The layers sum to `used`, unless files were deleted during the walk and the claims alone hold more: then `other` is 0.
///
/// # Errors
/// When the budget is spent, `stop` is set, `used` gives nothing, or the kernel does not allow it.
pub fn walk(
    disk: &Disk,
    claims: &[Claim],
    used: impl FnOnce() -> Option<Bytes>,
    clock: &dyn Fn() -> Duration,
    budget: &Budget,
    stop: &AtomicBool,
) -> Result<Walked, WalkError> {
    lower_priority();
    let mut meter = Meter::new(budget, clock, stop);
    let mut links = Links::new(budget.links);
    let mut unreadable = 0;
    let mut roots: Vec<(FileId, Root, Mounts)> = Vec::new();
    let mut accounts: Vec<&Claim> = Vec::new();
    let mut claimed: HashMap<FileId, usize> = HashMap::new();
    for claim in claims {
        match find(claim) {
            Ok((id, root)) if id.dev == disk.dev && !claimed.contains_key(&id) => {
                claimed.insert(id, accounts.len());
                accounts.push(claim);
                roots.push((id, root, claim.mounts));
            }
            Ok(_) => {}
            Err(AccessError::Os { source: Errno::ENOSYS, .. }) => return Err(WalkError::NoOpenat2),
            Err(error) if error.reason() == AbsenceReason::Gone => {}
            Err(_) => unreadable += 1,
        }
    }
    let mut tree = Tree::new(disk.dev, &claimed, &mut links, &mut meter, budget);
    for (id, root, mounts) in roots {
        tree.walk(root.as_fd(), id, mounts)?;
    }
    let (sums, not_read) = tree.finish();

    let used = used().ok_or(WalkError::UsedUnknown)?;
    let usage = DiskUsage {
        layers: by_layer(disk, &accounts, &sums, used),
        used,
        took: Span::from(meter.took()),
        unreadable: not_read + unreadable,
    };
    Ok(Walked { usage, entries: meter.entries(), links_not_remembered: links.unremembered })
}

/// The claimed directory, found on the layer's worker.
fn find(claim: &Claim) -> Result<(FileId, Root), AccessError> {
    let (root, path) = (Arc::clone(&claim.root), claim.path.clone());
    claim.worker.call("open", &claim.path, FIND, move || {
        let directory = root.directory(&path)?;
        let status = fstat(&directory).map_err(|e| AccessError::os("stat", &path, e))?;
        Ok((FileId::of(&status), directory))
    })
}

fn by_layer(disk: &Disk, accounts: &[&Claim], sums: &[u64], used: Bytes) -> Vec<LayerUsage> {
    let mut layers: BTreeMap<&LayerId, BTreeMap<Component, Bytes>> = BTreeMap::new();
    let mut rest = used;
    for (claim, bytes) in accounts.iter().zip(sums) {
        let bytes = Bytes::new(*bytes);
        rest = rest.saturating_sub(bytes);
        let sum = layers.entry(&claim.layer).or_default().entry(claim.component).or_default();
        *sum = sum.saturating_add(bytes);
    }
    let other = layers.entry(&disk.rest).or_default().entry(Component::Other).or_default();
    *other = other.saturating_add(rest);
    layers.into_iter().map(|(layer, components)| LayerUsage { layer: layer.clone(), components }).collect()
}

/// The calling thread reads only when nobody else wants the disk, where the I/O scheduler knows priorities (BFQ).
fn lower_priority() {
    // Pid 0 is the calling thread: ioprio_set(2).
    let me = ioprio::Target::Process(ioprio::Pid::from_raw(0));
    if let Err(error) = ioprio::set_priority(me, ioprio::Priority::new(ioprio::Class::Idle)) {
        tracing::debug!(%error, "the walk runs at normal I/O priority");
    }
}
