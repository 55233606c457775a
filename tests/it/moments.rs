//! Is a prediction right whenever it is asked for? Recordings of real kubelets, and those written by hand, are assessed up to random
//! instants; what is called *certain* then must be deleted by the next GC run or eviction sync, and what is called *safe* must not.
//!
//! A question counts only where nothing that it takes for granted changes before the kubelet acts: the images, who uses them, the
//! kubelet, and the side of the threshold on which the disk is. When images were deleted is told by the rise of the disk.

use highwater::assess::{Assessment, State, assess};
use highwater::command::recording;
use highwater::model::Trigger;
use highwater::model::prediction::Prediction;
use highwater::model::victims::{Cause, Outcome};
use highwater::sample::{ImageId, ImageStore, KubeletVersion, Reading, Sample};
use highwater::time::{Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Deletions take up to some seconds.
const DELETED_WITHIN: Span = Span::from_secs(5);
/// A GC run decides on figures of up to one sync period before, which are seen up to one sample later.
const DECIDED_BEFORE: Span = Span::from_secs(16);

/// A generator of numbers that are the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        i64::try_from(((mixed ^ (mixed >> 31)) >> 1) % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

/// One list of a runtime.
struct List {
    at: Timestamp,
    images: BTreeSet<ImageId>,
    users: BTreeSet<(String, ImageId)>,
}

/// What one layer did in the whole recording.
#[derive(Default)]
struct Course {
    lists: Vec<List>,
    kubelets: Vec<(Timestamp, Option<Timestamp>)>,
    /// By sample: what is available, and which triggers are crossed.
    available: Vec<(Timestamp, u64)>,
    crossed: Vec<(Timestamp, BTreeSet<Trigger>)>,
    deletions: Vec<Deletions>,
    runs: BTreeMap<Option<Trigger>, u64>,
}

/// Images that a list misses.
struct Deletions {
    earliest: Timestamp,
    latest: Timestamp,
    trigger: Option<Trigger>,
    images: BTreeSet<ImageId>,
}

/// A prediction, and when it was made.
struct Question {
    asked_at: Timestamp,
    layer: String,
    listed_at: Timestamp,
    available: u64,
    prediction: Prediction,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Score {
    certain: usize,
    safe: usize,
    wrong: Vec<String>,
}

impl Course {
    fn note(&mut self, sample: &Sample, index: usize, assessment: &Assessment) {
        let (layer, assessed) = (&sample.layers[index], &assessment.layers[index]);
        self.kubelets.push((sample.at, layer.kubelet.as_ref().map(|kubelet| kubelet.started_at)));
        self.available.extend(available(sample, index).map(|available| (sample.at, available)));
        let predictions = assessed.images.iter().flat_map(|images| &images.predictions);
        let crossed = predictions.filter(|found| found.crossed).map(|found| found.level.trigger).collect();
        self.crossed.push((sample.at, crossed));
        let runs: BTreeMap<_, _> = assessed.observed.iter().map(|(trigger, seen)| (*trigger, seen.runs)).collect();
        let rose = runs.iter().find(|(trigger, count)| **count > self.runs.get(trigger).copied().unwrap_or(0));
        let trigger = rose.and_then(|(trigger, _)| *trigger);
        self.runs = runs;
        let Reading::Present { value: store, at } = &layer.images else { return };
        if !store.complete || self.lists.last().is_some_and(|last| *at <= last.at) {
            return;
        }
        let list = List::of(store, *at);
        if let Some(last) = self.lists.last() {
            let images: BTreeSet<_> = last.images.difference(&list.images).cloned().collect();
            if !images.is_empty() {
                let (earliest, latest) = self.risen(last.at, sample.at).unwrap_or((last.at, list.at));
                self.deletions.push(Deletions { earliest, latest, trigger, images });
            }
        }
        self.lists.push(list);
    }

    /// Between which samples the disk rose most.
    fn risen(&self, after: Timestamp, until: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let pairs = self.available.iter().zip(self.available.iter().skip(1));
        let within = pairs.filter(|((_, low), (at, high))| *at > after && *at <= until && high > low);
        let most = within.max_by_key(|((_, low), (_, high))| high - low)?;
        Some((most.0.0.max(after), most.1.0))
    }

    fn list_until(&self, at: Timestamp) -> Option<&List> {
        self.lists.iter().rev().find(|list| list.at <= at)
    }

    fn list_from(&self, at: Timestamp) -> Option<&List> {
        self.lists.iter().find(|list| list.at >= at)
    }

    fn kubelet(&self, at: Timestamp) -> Option<Timestamp> {
        self.kubelets.iter().rev().find(|(seen, _)| *seen <= at).and_then(|(_, kubelet)| *kubelet)
    }

    /// The levels that may decide on what happens from `from` to `to`, and nothing later.
    fn levels(&self, from: Timestamp, to: Timestamp) -> Vec<u64> {
        let before = self.available.iter().rev().find(|(at, _)| *at < from);
        let within = self.available.iter().filter(|(at, _)| (from..=to).contains(at));
        before.into_iter().chain(within).map(|(_, available)| *available).collect()
    }
}

impl List {
    fn of(store: &ImageStore, at: Timestamp) -> Self {
        let users = store.containers.iter().flat_map(|container| {
            let images = container.image_id.iter().chain(&container.image_ref).chain(&container.image_volumes);
            images.map(|image| (format!("{} {:?}", container.id, container.state), image.clone()))
        });
        let images = store.images.iter().map(|image| image.id.clone()).collect();
        Self { at, images, users: users.collect() }
    }
}

fn available(sample: &Sample, index: usize) -> Option<u64> {
    let id = *sample.layers[index].imagefs.value()?;
    let disk = sample.filesystems.iter().find(|disk| disk.id == id)?;
    Some(disk.space.value()?.available.get())
}

fn questions(sample: &Sample, assessment: &Assessment) -> Vec<Question> {
    let layers = assessment.layers.iter().enumerate();
    let of_layer = layers.filter_map(|(index, layer)| Some((index, layer, layer.images.as_ref()?)));
    let all = of_layer.flat_map(|(index, layer, images)| {
        images.predictions.iter().filter_map(move |prediction| {
            Some(Question {
                asked_at: sample.at,
                layer: layer.id.to_string(),
                listed_at: images.listed_at,
                available: available(sample, index)?,
                prediction: prediction.clone(),
            })
        })
    });
    all.collect()
}

impl Question {
    /// Compares with what happened; nothing where something else changed before it could.
    fn judge(&self, course: &Course, score: &mut Score) {
        let judged = if self.prediction.level.trigger == Trigger::ImageGc {
            self.judge_gc_run(course)
        } else {
            self.judge_sync(course)
        };
        for (image, is_certain, is_right) in judged.unwrap_or_default() {
            *(if is_certain { &mut score.certain } else { &mut score.safe }) += 1;
            if !is_right {
                let word = if is_certain { "certain and still there" } else { "safe and deleted" };
                let trigger = self.prediction.level.trigger;
                score.wrong.push(format!("{} {} {trigger} {image}: {word}", self.asked_at, self.layer));
            }
        }
    }

    /// Whether images, users and kubelet are the same up to `until`, but for what is deleted then.
    fn holds(&self, course: &Course, acts: Timestamp, until: &List) -> Option<()> {
        let asked = course.list_until(self.listed_at)?;
        let last = course.list_until(acts).filter(|last| last.at >= asked.at)?;
        let same = asked.images == last.images && asked.users == last.users;
        let left = |(_, image): &&(String, ImageId)| until.images.contains(image);
        let users_stay =
            last.users.iter().filter(left).eq(until.users.iter().filter(|user| last.images.contains(&user.1)));
        let same_kubelet = course.kubelet(self.asked_at) == course.kubelet(until.at);
        (same && users_stay && same_kubelet && until.images.is_subset(&last.images)).then_some(())
    }

    fn judge_gc_run(&self, course: &Course) -> Option<Vec<(ImageId, bool, bool)>> {
        let at = self.prediction.at;
        let until = course.list_from(at.latest + DELETED_WITHIN)?;
        self.holds(course, at.earliest, until)?;
        let between = course.deletions.iter().filter(|one| one.latest > self.listed_at && one.earliest < until.at);
        let mut gone = BTreeSet::new();
        for one in between {
            let fits = one.latest >= at.earliest - DELETED_WITHIN && one.earliest <= at.latest + DELETED_WITHIN;
            if !fits || one.trigger != Some(Trigger::ImageGc) {
                return None;
            }
            gone.extend(one.images.iter().cloned());
        }
        let threshold = self.prediction.level.threshold;
        let levels = course.levels(at.earliest - DECIDED_BEFORE, at.earliest);
        let assumed = self.available.min(threshold - 1);
        let (crossed, clear) =
            (levels.iter().all(|left| *left < threshold), levels.iter().all(|left| *left >= threshold));
        let (no_more, no_less) =
            (levels.iter().all(|left| *left <= assumed), levels.iter().all(|left| *left >= assumed));
        let judged = self.prediction.verdicts.iter().filter_map(|judged| {
            let is_gone = gone.contains(&judged.image);
            let (is_certain, counts) = match judged.outcome {
                Outcome::Certain(Cause::Age) => (true, true),
                Outcome::Certain(Cause::Space) if crossed => (true, no_more),
                // While the threshold is not crossed, nothing is deleted to free disk space.
                Outcome::Certain(Cause::Space) | Outcome::Possible(Cause::Space) => (false, clear),
                Outcome::Possible(Cause::Age) => (false, false),
                Outcome::Safe(reason) => (false, clear || no_less || reason.as_str() != "not_needed"),
            };
            counts.then_some((judged.image.clone(), is_certain, is_gone == is_certain))
        });
        Some(judged.collect())
    }

    fn judge_sync(&self, course: &Course) -> Option<Vec<(ImageId, bool, bool)>> {
        let (at, trigger) = (self.prediction.at, self.prediction.level.trigger);
        let until = course.list_from(at.latest + DELETED_WITHIN)?;
        let mut between = course.deletions.iter().filter(|one| one.latest > self.listed_at && one.earliest < until.at);
        let first = between.next();
        if between.next().is_some() || first.is_some_and(|one| one.trigger != Some(trigger)) {
            return None;
        }
        let acts = first.map_or(at.latest, |one| one.earliest);
        self.holds(course, acts, until)?;
        // Asked after the deletion, from a list of before it.
        if first.is_some_and(|one| one.earliest < self.asked_at) {
            return None;
        }
        let stays_crossed = self.prediction.crossed
            && course
                .crossed
                .iter()
                .filter(|(seen, _)| (self.asked_at..=acts.min(at.latest)).contains(seen))
                .all(|(_, crossed)| crossed.contains(&trigger));
        let by_this_sync = first.is_some_and(|one| one.latest <= at.latest);
        let judged = self.prediction.verdicts.iter().filter_map(|judged| {
            let is_gone = first.is_some_and(|one| one.images.contains(&judged.image));
            match judged.outcome {
                Outcome::Certain(_) if stays_crossed => Some((judged.image.clone(), true, is_gone)),
                Outcome::Safe(_) if by_this_sync => Some((judged.image.clone(), false, !is_gone)),
                _ => None,
            }
        });
        Some(judged.collect())
    }
}

/// Reads a recording with a change to every sample, and asks in one of `every` intervals between two samples, from sample `from` on.
fn asked(path: &Path, seed: u64, every: i64, from: usize, change: &dyn Fn(&mut Sample)) -> Score {
    let mut samples = recording::open(path).unwrap();
    let mut random = Random(seed);
    let (mut asked, mut courses) = (Vec::new(), BTreeMap::<String, Course>::new());
    let mut last: Option<(Sample, State)> = None;
    let mut number = 0;
    while let Some(mut sample) = samples.next_sample() {
        number += 1;
        if number <= from {
            continue;
        }
        change(&mut sample);
        if let Some((earlier, state)) = last.as_ref().filter(|_| random.below(every) == 0) {
            let later = earlier.at + Span::from_micros(random.below(sample.at.since(earlier.at).micros()));
            let earlier = Sample { at: later, ..earlier.clone() };
            let (assessment, _) = assess(&earlier, state.clone());
            asked.extend(questions(&earlier, &assessment));
        }
        let state = last.take().map_or_else(State::default, |(_, state)| state);
        let (assessment, next) = assess(&sample, state);
        for (index, layer) in sample.layers.iter().enumerate() {
            courses.entry(layer.id.to_string()).or_default().note(&sample, index, &assessment);
        }
        last = Some((sample, next));
    }
    let mut score = Score::default();
    for question in &asked {
        question.judge(&courses[&question.layer], &mut score);
    }
    score
}

/// Every recording, from the truth test and by hand.
fn recordings() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recordings");
    let of = |name: &str| {
        let entries = fs::read_dir(folder.join(name)).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let is_recording = |path: &PathBuf| path.to_str().is_some_and(|path| path.contains(".jsonl"));
    let mut all: Vec<_> = [of("."), of("cases"), of("truth")].concat().into_iter().filter(is_recording).collect();
    all.sort();
    all
}

/// The questions to all recordings that counted, none of which may have been answered wrongly.
fn ask_all(every: i64, from: impl Fn(&mut Random) -> usize, change: &dyn Fn(&mut Sample)) -> (usize, usize) {
    let (mut certain, mut safe) = (0, 0);
    for (seed, path) in (1..).zip(recordings()) {
        let from = from(&mut Random(seed));
        let score = asked(&path, seed, every, from, change);
        assert_eq!(score.wrong, [""; 0], "{} from sample {from} on", path.display());
        certain += score.certain;
        safe += score.safe;
    }
    (certain, safe)
}

#[test]
fn whenever_it_is_asked_no_certain_image_survives_and_no_safe_one_is_deleted() {
    let (certain, safe) = ask_all(1, |_| 0, &|_| ());
    assert!(certain > 400 && safe > 4_000, "{certain} {safe}");
}

#[test]
fn nor_where_the_release_is_not_known() {
    let hide = |sample: &mut Sample| {
        for kubelet in sample.layers.iter_mut().filter_map(|layer| layer.kubelet.as_mut()) {
            kubelet.version = None;
        }
    };
    let (_, safe) = ask_all(2, |_| 0, &hide);
    assert!(safe > 1_000, "{safe}");
}

#[test]
fn nor_where_highwater_starts_late() {
    let (_, safe) = ask_all(2, |random| usize::try_from(random.below(150)).unwrap(), &|_| ());
    assert!(safe > 1_000, "{safe}");
}

/// The questions can be answered wrongly: up to 1.28 no image is too young after a start, and the kubelet of this recording is newer.
#[test]
fn the_rules_of_another_release_are_found_to_be_wrong() {
    let pretend = |sample: &mut Sample| {
        for kubelet in sample.layers.iter_mut().filter_map(|layer| layer.kubelet.as_mut()) {
            kubelet.version = Some(KubeletVersion { release: "v1.28.15".into(), origin: None });
        }
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recordings/truth");
    let score = asked(&folder.join("starts-below.jsonl.gz"), 1, 1, 0, &pretend);
    assert!(!score.wrong.is_empty(), "{score:?}");
}
