//! A kubelet as the tests see it: builders of stores, and the kubelet's own bookkeeping and loop, written down plainly.

use super::schedule::Start;
use super::{Release, usage};
use crate::sample::{Container, ContainerState, Image, ImageId, ImageStore, Pod};
use crate::time::{Span, Timestamp};
use crate::units::{Bytes, Percent};
use crate::untrusted::Label;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const V1_37: Release = Release::V1 { minor: 37, patch: 2 };
pub(crate) const V1_28: Release = Release::V1 { minor: 28, patch: 15 };
/// The process of the kubelet starts at 0.
pub(crate) const START: Timestamp = Timestamp::from_micros(0);
pub(crate) const KUBELET: Start = Start::of(START, V1_37);

/// So many seconds after the start.
pub(crate) fn at(seconds: i64) -> Timestamp {
    START + Span::from_secs(seconds)
}

/// When a pass comes.
pub(crate) fn time_of(number: i64) -> Timestamp {
    KUBELET.gc_run(number).at
}

pub(crate) fn image(id: &str, size: u64) -> Image {
    Image {
        id: id.into(),
        tags: Vec::new(),
        digests: Vec::new(),
        size: Some(Bytes::new(size)),
        pinned: false,
        layers: None,
    }
}

pub(crate) fn container(id: &str, pod: &str, image: &str, state: ContainerState) -> Container {
    Container {
        id: id.into(),
        pod: pod.into(),
        name: "main".into(),
        state,
        image_id: Some(image.into()),
        image_ref: Some(image.into()),
        image_volumes: Vec::new(),
    }
}

pub(crate) fn pod(id: &str, ready: Option<bool>) -> Pod {
    Pod {
        id: id.into(),
        uid: Label::from(format!("uid of {id}")),
        namespace: "default".into(),
        name: id.into(),
        ready,
        is_static: false,
    }
}

/// A store of images of one byte; `a*` is in use by a running container, `a+` by one that has ended in a pod that has
/// ended, `a!` is pinned, `a=50` has a size of 50.
pub(crate) fn store(names: &[&str]) -> ImageStore {
    let mut store = ImageStore { complete: true, ..ImageStore::default() };
    for name in names {
        let (name, size) = name.split_once('=').map_or((*name, 1), |(name, size)| (name, size.parse().unwrap()));
        let id = name.trim_end_matches(['*', '+', '!']);
        store.images.push(Image { pinned: name.contains('!'), ..image(id, size) });
        let pod_of = format!("pod of {id}");
        if name.contains('*') {
            store.containers.push(container(id, &pod_of, id, ContainerState::Running));
            store.pods.push(pod(&pod_of, Some(true)));
        }
        if name.contains('+') {
            store.containers.push(container(id, &pod_of, id, ContainerState::Exited));
            store.pods.push(pod(&pod_of, Some(false)));
        }
    }
    store
}

/// A store at every time from the given second on, in order of time.
pub(crate) type History = Vec<(i64, ImageStore)>;

/// The store of a history at some time.
pub(crate) fn store_at(history: &History, time: Timestamp) -> ImageStore {
    history.iter().rev().find(|(since, _)| at(*since) <= time).map_or_else(|| store(&[]), |(_, store)| store.clone())
}

/// First detected and last used of each image, as the kubelet notes it at every pass up to a time.
pub(crate) fn records(history: &History, until: Timestamp) -> BTreeMap<ImageId, (Timestamp, Option<Timestamp>)> {
    let mut records: BTreeMap<ImageId, (Timestamp, Option<Timestamp>)> = BTreeMap::new();
    for time in (0..).map(time_of).take_while(|time| *time <= until) {
        let store = store_at(history, time);
        records.retain(|id, _| store.images.iter().any(|image| image.id == *id));
        for image in &store.images {
            let record = records.entry(image.id.clone()).or_insert((time, None));
            if in_use(&store, &image.id) {
                record.1 = Some(time);
            }
        }
    }
    records
}

fn in_use(store: &ImageStore, id: &ImageId) -> bool {
    store.containers.iter().any(|container| container.image_id.as_ref() == Some(id))
}

/// What a simulated image GC run is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Orders {
    pub(crate) high: i64,
    pub(crate) low: i64,
    pub(crate) minimum_age: Span,
    pub(crate) maximum_age: Option<Span>,
    pub(crate) capacity: Bytes,
    pub(crate) available: Bytes,
}

/// The images that pass `number` deletes, where `rank` puts equals into an order.
pub(crate) fn deleted(
    history: &History,
    number: i64,
    orders: Orders,
    rank: impl Fn(&ImageId) -> u64,
) -> BTreeSet<ImageId> {
    let time = time_of(number);
    let notes = records(history, time);
    let store = store_at(history, time);
    let mut queue: Vec<_> = store.images.iter().filter(|image| !in_use(&store, &image.id) && !image.pinned).collect();
    queue.sort_by_key(|image| (notes[&image.id].1, notes[&image.id].0, rank(&image.id)));
    let mut gone = BTreeSet::new();
    if let Some(age) = orders.maximum_age
        && time.since(time_of(0)) > age
    {
        let old = |id: &ImageId| notes[id].1.is_none_or(|last_used| time.since(last_used) > age);
        gone.extend(queue.iter().filter(|image| old(&image.id)).map(|image| image.id.clone()));
        queue.retain(|image| !gone.contains(&image.id));
    }
    if !usage::trips(orders.capacity, orders.available, Percent::new(orders.high)) {
        return gone;
    }
    let wanted = usage::bytes_wanted(orders.capacity, orders.available, Percent::new(orders.low));
    let mut freed = 0;
    for image in queue {
        if time.since(notes[&image.id].0) < orders.minimum_age {
            continue;
        }
        gone.insert(image.id.clone());
        freed += image.size.unwrap().as_i64();
        if freed >= wanted {
            break;
        }
    }
    gone
}
