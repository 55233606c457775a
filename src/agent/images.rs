//! What does a runtime's answer say of its images and containers? The lists of the CRI as a sample has them. Pure.
//!
//! Which images are mounted as volumes is not in these lists: where nothing else tells (`stored.rs`), they are hidden.

use crate::sample::{Container, ContainerState, Image, ImageId, ImageStore, Pod, Reading};
use crate::source::cri;

/// The images and containers, dated with the moment of the question. Absent where one of the three lists is: without the
/// containers every image would look unused.
pub(super) fn store(snapshot: &cri::CriSnapshot) -> Reading<ImageStore> {
    let (pods, containers) = match (&snapshot.pods, &snapshot.containers) {
        (Reading::Absent(absence), _) | (_, Reading::Absent(absence)) => return Reading::Absent(absence.clone()),
        (Reading::Present { value: pods, .. }, Reading::Present { value: containers, .. }) => (pods, containers),
    };
    let (images, at) = match &snapshot.images {
        Reading::Absent(absence) => return Reading::Absent(absence.clone()),
        Reading::Present { value, at } => (value, *at),
    };
    let store = ImageStore {
        images: images.items.iter().map(image).collect(),
        containers: containers.items.iter().map(container).collect(),
        pods: pods.items.iter().map(pod).collect(),
        complete: images.is_complete() && containers.is_complete() && pods.is_complete(),
        hidden_volumes: true,
    };
    Reading::present(store, at)
}

fn image(image: &cri::Image) -> Image {
    Image {
        id: ImageId::new(image.id.clone()),
        tags: image.tags.clone(),
        digests: image.digests.clone(),
        size: image.size,
        pinned: image.pinned,
        layers: None,
    }
}

fn container(container: &cri::Container) -> Container {
    Container {
        id: container.id.clone(),
        pod: container.pod_sandbox_id.clone(),
        name: container.name.clone(),
        state: match container.state {
            cri::ContainerState::Created => ContainerState::Created,
            cri::ContainerState::Running => ContainerState::Running,
            cri::ContainerState::Exited => ContainerState::Exited,
            cri::ContainerState::Unknown => ContainerState::Unknown,
        },
        image_id: container.image_id.clone().map(ImageId::new),
        image_ref: container.image_ref.clone().map(ImageId::new),
        image_volumes: Vec::new(),
    }
}

fn pod(pod: &cri::Pod) -> Pod {
    Pod {
        id: pod.id.clone(),
        uid: pod.uid.clone(),
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        ready: match pod.state {
            cri::PodState::Ready => Some(true),
            cri::PodState::NotReady => Some(false),
            cri::PodState::Unknown => None,
        },
        is_static: pod.config_source.as_ref().is_some_and(|source| source.as_str() == "file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::AbsenceReason;
    use crate::source::listing::{Cut, Listing};
    use crate::time::Timestamp;
    use crate::units::Bytes;
    use crate::untrusted::Label;

    const AT: Timestamp = Timestamp::from_micros(7);

    fn snapshot() -> cri::CriSnapshot {
        let pod = cri::Pod {
            id: "box".into(),
            name: "etcd".into(),
            namespace: "kube-system".into(),
            uid: "u1".into(),
            state: cri::PodState::NotReady,
            created_at: None,
            prow_job: None,
            prow_build_id: None,
            created_by_prow: false,
            config_source: Some("file".into()),
        };
        let container = cri::Container {
            id: "c1".into(),
            pod_sandbox_id: "box".into(),
            name: "etcd".into(),
            attempt: 0,
            image: Some("sha256:aa".into()),
            user_image: None,
            image_ref: Some("example.io/etcd@sha256:bb".into()),
            image_id: None,
            state: cri::ContainerState::Exited,
            created_at: None,
            pod_name: None,
            pod_namespace: None,
        };
        let image = cri::Image {
            id: "sha256:aa".into(),
            tags: vec!["example.io/etcd:3".into()],
            digests: Vec::new(),
            more_names: false,
            size: Some(Bytes::new(5)),
            pinned: true,
        };
        let unread = || Reading::absent(AbsenceReason::NotRead, "not asked");
        cri::CriSnapshot {
            version: unread(),
            status: Reading::absent(AbsenceReason::NotRead, "not asked"),
            image_fs: Reading::absent(AbsenceReason::NotRead, "not asked"),
            pods: Reading::present(Listing { items: vec![pod], cut: None }, AT),
            containers: Reading::present(Listing { items: vec![container], cut: None }, AT),
            images: Reading::present(Listing { items: vec![image], cut: None }, AT),
        }
    }

    #[test]
    fn the_three_lists_become_one_store() {
        let Reading::Present { value, at } = store(&snapshot()) else { panic!("absent") };
        assert_eq!(at, AT);
        assert!(value.complete);
        assert_eq!((value.pods[0].ready, value.pods[0].is_static), (Some(false), true));
        assert_eq!(value.containers[0].state, ContainerState::Exited);
        assert_eq!(value.containers[0].image_id, None);
        assert_eq!(value.containers[0].image_ref, Some("example.io/etcd@sha256:bb".into()));
        assert_eq!((value.images[0].size, value.images[0].pinned), (Some(Bytes::new(5)), true));
        assert_eq!(value.images[0].tags, [Label::new("example.io/etcd:3")]);
    }

    #[test]
    fn a_list_that_was_cut_makes_the_store_incomplete_and_a_missing_one_makes_it_absent() {
        let mut cut = snapshot();
        cut.containers = cut.containers.map(|list| Listing { cut: Some(Cut::Items(1)), ..list });
        assert!(!store(&cut).value().unwrap().complete);
        let mut missing = snapshot();
        missing.containers = Reading::absent(AbsenceReason::TimedOut, "containers: no answer");
        assert_eq!(store(&missing).absence().unwrap().reason, AbsenceReason::TimedOut);
    }
}
