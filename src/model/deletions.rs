//! Images are gone: who deleted them, and was it predicted? Compares two lists of the same store, and those with a prediction.
//!
//! The runtime does not tell who asked for a deletion. Image GC is recognised by its schedule, an eviction by its threshold; what
//! fits neither was somebody else, or a kubelet whose schedule is not known well enough.

use super::schedule::Expected;
use super::victims::{ImageOutcome, Outcome};
use super::{Release, Rule, Trigger};
use crate::sample::{Image, ImageId, ImageStore};
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};

/// Images that vanished between two lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletions {
    /// The last list that had them.
    pub after: Timestamp,
    /// The first that has not.
    pub before: Timestamp,
    /// Which.
    pub images: Vec<ImageId>,
    /// Their CRI sizes, unusable ones as nothing.
    pub bytes: Bytes,
    /// What deleted them; `None` where it cannot be told.
    pub trigger: Option<Trigger>,
}

/// What is known of the time between two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// The kubelet's release.
    pub release: Release,
    /// An image GC run that may have fallen into it, and saw usage at or above the high threshold.
    pub gc_run: Option<Expected>,
    /// The eviction that deletes images whose threshold was crossed at some time in it.
    pub eviction: Option<Trigger>,
}

/// How far a GC run may lie outside of the time between the lists: the deletions of a full store take some seconds, and a busy
/// machine is late.
const TOLERANCE: Span = Span::from_secs(5);

/// The images that are in the earlier list and not in the later; `None` where none is missing, or a list is not whole.
///
/// Attributed to an eviction where its threshold was crossed, since syncs come every 10 seconds; otherwise to image GC, where a
/// run that finds its threshold crossed lies between. A pinned image among them was deleted by somebody else where the kubelet
/// respects pins, and so were perhaps the others.
pub fn deletions(
    earlier: (Timestamp, &ImageStore),
    later: (Timestamp, &ImageStore),
    circumstances: Circumstances,
) -> Option<Deletions> {
    let ((after, earlier), (before, later)) = (earlier, later);
    if !earlier.complete || !later.complete {
        return None;
    }
    let left: HashSet<&ImageId> = later.images.iter().map(|image| &image.id).collect();
    let gone: Vec<&Image> = earlier.images.iter().filter(|image| !left.contains(&image.id)).collect();
    if gone.is_empty() {
        return None;
    }
    let run_between =
        circumstances.gc_run.is_some_and(|run| run.earliest - TOLERANCE <= before && after <= run.latest + TOLERANCE);
    let spares_pins = circumstances.release.holds(Rule::PinsRespected).is_certain();
    let trigger = if spares_pins && gone.iter().any(|image| image.pinned) {
        None
    } else {
        circumstances.eviction.or(run_between.then_some(Trigger::ImageGc))
    };
    let bytes = gone.iter().fold(Bytes::ZERO, |sum, image| sum.saturating_add(image.size.unwrap_or(Bytes::ZERO)));
    Some(Deletions { after, before, images: gone.into_iter().map(|image| image.id.clone()).collect(), bytes, trigger })
}

/// How a prediction compares with what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Score {
    /// Predicted as certain, and gone.
    pub certain_gone: usize,
    /// Predicted as certain, and still there: wrong.
    pub certain_kept: usize,
    /// Predicted as possible, and gone.
    pub possible_gone: usize,
    /// Predicted as possible, and still there.
    pub possible_kept: usize,
    /// Predicted as safe, and gone: wrong.
    pub safe_gone: usize,
    /// Predicted as safe, and still there.
    pub safe_kept: usize,
    /// Deleted, and not in the prediction at all: the image arrived later.
    pub unpredicted: usize,
}

impl Score {
    /// Counts verdicts against the images that are gone.
    pub fn of(verdicts: &[ImageOutcome], gone: &BTreeSet<ImageId>) -> Self {
        let mut score = Self::default();
        let mut predicted = 0_usize;
        for verdict in verdicts {
            let is_gone = gone.contains(&verdict.image);
            predicted = predicted.saturating_add(usize::from(is_gone));
            let count = match (verdict.outcome, is_gone) {
                (Outcome::Certain(_), true) => &mut score.certain_gone,
                (Outcome::Certain(_), false) => &mut score.certain_kept,
                (Outcome::Possible(_), true) => &mut score.possible_gone,
                (Outcome::Possible(_), false) => &mut score.possible_kept,
                (Outcome::Safe(_), true) => &mut score.safe_gone,
                (Outcome::Safe(_), false) => &mut score.safe_kept,
            };
            *count = count.saturating_add(1);
        }
        score.unpredicted = gone.len().saturating_sub(predicted);
        score
    }

    /// Whether nothing predicted turned out wrong.
    pub const fn holds(&self) -> bool {
        self.certain_kept == 0 && self.safe_gone == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::simulated::{V1_37, at, store};
    use crate::model::victims::{Cause, SafeReason};

    fn gc_run(seconds: i64) -> Expected {
        Expected { earliest: at(seconds), at: at(seconds), latest: at(seconds + 1) }
    }

    const NOTHING: Circumstances = Circumstances { release: V1_37, gc_run: None, eviction: None };

    fn told(earlier: &[&str], run: Option<i64>, evicts: bool) -> &'static str {
        told_of(V1_37, earlier, run, evicts.then_some(Trigger::ImageEviction))
    }

    fn told_of(release: Release, earlier: &[&str], run: Option<i64>, eviction: Option<Trigger>) -> &'static str {
        let circumstances = Circumstances { release, gc_run: run.map(gc_run), eviction };
        match deletions((at(290), &store(earlier)), (at(320), &store(&["c"])), circumstances) {
            None => "nothing",
            Some(Deletions { trigger: None, .. }) => "somebody",
            Some(Deletions { trigger: Some(trigger), .. }) => trigger.as_str(),
        }
    }

    #[test]
    fn what_vanished_is_counted_with_its_size() {
        let circumstances = Circumstances { gc_run: Some(gc_run(300)), ..NOTHING };
        let earlier = store(&["a=10", "b=20", "c=40"]);
        let found = deletions((at(290), &earlier), (at(320), &store(&["c=40", "d=80"])), circumstances).unwrap();
        assert_eq!(found.images, ["a".into(), "b".into()]);
        assert_eq!(found.bytes, Bytes::new(30));
        assert_eq!((found.after, found.before), (at(290), at(320)));
        assert_eq!(found.trigger, Some(Trigger::ImageGc));
    }

    #[test]
    fn nothing_missing_and_lists_that_are_not_whole_tell_nothing() {
        assert_eq!(told(&["c"], Some(300), false), "nothing");
        let circumstances = Circumstances { eviction: Some(Trigger::ImageEviction), ..NOTHING };
        let cut = ImageStore { complete: false, ..store(&[]) };
        assert_eq!(deletions((at(0), &store(&["a"])), (at(9), &cut), circumstances), None);
    }

    #[test]
    fn image_gc_is_told_by_its_schedule_and_an_eviction_by_its_threshold() {
        assert_eq!(told(&["a"], Some(300), false), "image_gc");
        assert_eq!(told(&["a"], Some(286), false), "image_gc");
        assert_eq!(told(&["a"], Some(250), false), "somebody");
        assert_eq!(told(&["a"], Some(326), false), "somebody");
        assert_eq!(told(&["a"], None, false), "somebody");
        assert_eq!(told(&["a"], Some(300), true), "image_eviction");
        assert_eq!(told_of(V1_37, &["a"], Some(300), Some(Trigger::InodeEviction)), "inode_eviction");
    }

    #[test]
    fn a_kubelet_that_respects_pins_deletes_no_pinned_image() {
        assert_eq!(told(&["a", "b!"], Some(300), true), "somebody");
        for release in [Release::V1 { minor: 20, patch: 2 }, Release::V1 { minor: 27, patch: 5 }, Release::Unknown] {
            assert_eq!(told_of(release, &["a", "b!"], Some(300), None), "image_gc", "{release}");
            assert_eq!(told_of(release, &["a", "b!"], None, None), "somebody", "{release}");
        }
    }

    #[test]
    fn a_prediction_is_scored_against_what_happened() {
        let verdict = |id: &str, outcome| ImageOutcome { image: id.into(), size: None, outcome };
        let certain = Outcome::Certain(Cause::Space);
        let verdicts = [
            verdict("a", certain),
            verdict("b", Outcome::Possible(Cause::Space)),
            verdict("c", Outcome::Possible(Cause::Space)),
            verdict("d", Outcome::Safe(SafeReason::InUse)),
        ];
        let gone = |ids: &[&str]| ids.iter().map(|id| ImageId::from(*id)).collect();
        let score = Score::of(&verdicts, &gone(&["a", "b", "later"]));
        let expected = Score {
            certain_gone: 1,
            possible_gone: 1,
            possible_kept: 1,
            safe_kept: 1,
            unpredicted: 1,
            ..Score::default()
        };
        assert_eq!(score, expected);
        assert!(score.holds());
        assert!(!Score::of(&verdicts, &gone(&[])).holds());
        assert!(!Score::of(&verdicts, &gone(&["a", "d"])).holds());
    }
}
