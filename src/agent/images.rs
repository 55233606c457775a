//! What does a runtime's answer say of its images and containers? The lists of the CRI as one store. Pure.

use crate::sample::{ImageStore, Reading};
use crate::source::cri;
use crate::untrusted::Label;

/// The images and containers, dated with the moment of the question. Absent where one of the three lists is: without the
/// containers every image would look unused. `sandbox_image` is the name that the runtime's files give it.
pub(super) fn store(snapshot: &cri::CriSnapshot, sandbox_image: Option<&Label>) -> Reading<ImageStore> {
    let (pods, containers) = match (&snapshot.pods, &snapshot.containers) {
        (Reading::Absent(absence), _) | (_, Reading::Absent(absence)) => return Reading::Absent(absence.clone()),
        (Reading::Present { value: pods, .. }, Reading::Present { value: containers, .. }) => (pods, containers),
    };
    let (images, at) = match &snapshot.images {
        Reading::Absent(absence) => return Reading::Absent(absence.clone()),
        Reading::Present { value, at } => (value, *at),
    };
    let answered = snapshot.status.value().and_then(|status| status.sandbox_image.as_ref());
    let store = ImageStore {
        images: images.items.clone(),
        containers: containers.items.clone(),
        pods: pods.items.iter().map(|listed| listed.pod.clone()).collect(),
        complete: images.is_complete() && containers.is_complete() && pods.is_complete(),
        hidden_volumes: true,
        sandbox_image: answered.or(sandbox_image).cloned(),
    };
    Reading::present(store, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{AbsenceReason, Container, ContainerState, Image, Pod};
    use crate::source::listing::{Cut, Listing};
    use crate::time::Timestamp;
    use crate::units::Bytes;

    const AT: Timestamp = Timestamp::from_micros(7);

    fn snapshot() -> cri::CriSnapshot {
        let pod = Pod {
            id: "box".into(),
            name: "etcd".into(),
            namespace: "kube-system".into(),
            uid: "u1".into(),
            ready: Some(false),
            is_static: true,
        };
        let container = Container {
            id: "c1".into(),
            pod: "box".into(),
            name: "etcd".into(),
            state: ContainerState::Exited,
            image_id: None,
            image_ref: Some("example.io/etcd@sha256:bb".into()),
            image_volumes: Vec::new(),
        };
        let image = Image {
            id: "sha256:aa".into(),
            tags: vec!["example.io/etcd:3".into()],
            digests: Vec::new(),
            size: Some(Bytes::new(5)),
            pinned: true,
            layers: None,
        };
        let pod = cri::ListedPod { pod, prow_job: None, prow_build_id: None };
        cri::CriSnapshot {
            version: Reading::absent(AbsenceReason::NotRead, "not asked"),
            status: Reading::absent(AbsenceReason::NotRead, "not asked"),
            image_fs: Reading::absent(AbsenceReason::NotRead, "not asked"),
            pods: Reading::present(Listing { items: vec![pod], cut: None }, AT),
            containers: Reading::present(Listing { items: vec![container], cut: None }, AT),
            images: Reading::present(Listing { items: vec![image], cut: None }, AT),
        }
    }

    #[test]
    fn the_three_lists_become_one_store() {
        let Reading::Present { value, at } = store(&snapshot(), None) else { panic!("absent") };
        assert_eq!(at, AT);
        assert!(value.complete && value.hidden_volumes);
        assert_eq!((value.images.len(), value.containers.len(), value.pods.len()), (1, 1, 1));
    }

    #[test]
    fn the_runtimes_answer_names_the_sandbox_image_before_its_files_do() {
        let mut answered = snapshot();
        let of = |snapshot: &cri::CriSnapshot, file: Option<&Label>| {
            store(snapshot, file).value().unwrap().sandbox_image.clone()
        };
        let in_file = Label::new("from/file:1");
        assert_eq!(of(&answered, None), None);
        assert_eq!(of(&answered, Some(&in_file)), Some("from/file:1".into()));
        let status = cri::Status { sandbox_image: Some("from/answer:1".into()), stats_period: None };
        answered.status = Reading::present(status, AT);
        assert_eq!(of(&answered, Some(&in_file)), Some("from/answer:1".into()));
    }

    #[test]
    fn a_list_that_was_cut_makes_the_store_incomplete_and_a_missing_one_makes_it_absent() {
        let mut cut = snapshot();
        cut.containers = cut.containers.map(|list| Listing { cut: Some(Cut::Items(1)), ..list });
        assert!(!store(&cut, None).value().unwrap().complete);
        let mut missing = snapshot();
        missing.containers = Reading::absent(AbsenceReason::TimedOut, "containers: no answer");
        assert_eq!(store(&missing, None).absence().unwrap().reason, AbsenceReason::TimedOut);
    }
}
