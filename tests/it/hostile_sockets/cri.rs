//! What can a CRI daemon do?

use super::peer::{Answer, NOW, Place, field, framed, hear, impatient, number, patient, runtime, varint, why};
use highwater::access::socket::ReplyLimits;
use highwater::sample::{AbsenceReason, ContainerState, ImageId};
use highwater::source::cri::{CriSnapshot, Status, snapshot};
use highwater::source::listing::Cut;
use highwater::units::Bytes;
use highwater::untrusted::Label;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn ask(place: &Place, limits: &ReplyLimits) -> CriSnapshot {
    runtime().block_on(snapshot(&place.endpoint(), limits, NOW))
}

/// A daemon that is well, except that it answers `odd` as it is told.
fn well_but_for(odd: &'static str, answer: impl Fn() -> Answer + Send + Clone + 'static) -> Place {
    Place::with_grpc(move |call| if call == odd { answer() } else { well(call) })
}

/// What containerd 1.7 says, shortened.
const CONFIG: &str = r#"{"containerd":{"snapshotter":"overlayfs","defaultRuntimeName":"runc","discardUnpackedLayers":true},
    "registry":{"configs":{"x":{"auth":{"password":"secret"}}}},"sandboxImage":"registry.k8s.io/pause:3.8","statsCollectPeriod":10,
    "containerdRootDir":"/var/lib/containerd"}"#;

pub(super) fn well(call: &str) -> Answer {
    Answer::Message(match call {
        "Version" => [field(1, "0.1.0"), field(2, "containerd"), field(3, "2.1.4"), field(4, "v1")].concat(),
        "Status" => [
            field(
                1,
                [
                    field(1, [field(1, "RuntimeReady"), number(2, 1)].concat()),
                    field(1, [field(1, "NetworkReady"), field(3, "NetworkPluginNotReady")].concat()),
                ]
                .concat(),
            ),
            pair(2, "golang", r#""go1.24.4""#),
            pair(2, "config", CONFIG),
        ]
        .concat(),
        "ImageFsInfo" => field(
            1,
            [
                number(1, 1_795_508_195_957_404_000),
                field(2, field(1, "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs")),
                field(3, number(1, 3_031_040)),
                field(4, number(1, 4)),
            ]
            .concat(),
        ),
        "ListPodSandbox" => field(
            1,
            [
                field(1, "pod-1"),
                field(2, [field(1, "capi-e2e"), field(2, "uid-1"), field(3, "test-pods"), number(4, 1)].concat()),
                number(3, 1),
                number(4, 1_795_508_000_000_000_000),
                pair(5, "prow.k8s.io/job", "periodic-cluster-api-e2e-with-a-name-that-is-cut"),
                pair(5, "prow.k8s.io/build-id", "1893"),
                pair(5, "created-by-prow", "true"),
                pair(6, "prow.k8s.io/job", "periodic-cluster-api-e2e-with-a-name-that-is-cut-off-in-the-label"),
                pair(6, "kubernetes.io/config.source", "file"),
                field(7, "runc"),
            ]
            .concat(),
        ),
        "ListContainers" => field(
            1,
            [
                field(1, "container-1"),
                field(2, "pod-1"),
                field(3, [field(1, "test"), number(2, 3)].concat()),
                field(4, [field(1, "sha256:abc"), field(18, "example.test/e2e:dev")].concat()),
                field(5, "sha256:abc"),
                number(6, 2),
                pair(8, "io.kubernetes.pod.name", "capi-e2e"),
                pair(8, "io.kubernetes.pod.namespace", "test-pods"),
                field(10, "sha256:def"),
            ]
            .concat(),
        ),
        "ListImages" => [image("one", 10), [field(1, image_body("two", 20)), Vec::new()].concat()].concat(),
        other => panic!("{other} is not a call that only reads"),
    })
}

fn pair(map: u64, key: &str, value: &str) -> Vec<u8> {
    field(map, [field(1, key), field(2, value)].concat())
}

fn image_body(id: &str, size: u64) -> Vec<u8> {
    [field(1, id), field(2, format!("example.test/{id}:dev")), number(4, size), number(8, 1)].concat()
}

fn image(id: &str, size: u64) -> Vec<u8> {
    field(1, image_body(id, size))
}

/// That everything but one part could be read.
fn others_are_well(snapshot: &CriSnapshot, odd: &str) {
    let present = [
        ("Version", snapshot.version.value().is_some()),
        ("Status", snapshot.status.value().is_some()),
        ("ImageFsInfo", snapshot.image_fs.value().is_some()),
        ("ListPodSandbox", snapshot.pods.value().is_some()),
        ("ListContainers", snapshot.containers.value().is_some()),
        ("ListImages", snapshot.images.value().is_some()),
    ];
    for (call, present) in present {
        assert_eq!(present, call != odd, "{call}: {snapshot:#?}");
    }
}

#[test]
fn a_daemon_that_is_well_is_read_field_by_field() {
    let snapshot = ask(&well_but_for("none", || Answer::Hang), &patient());
    others_are_well(&snapshot, "none");
    let version = snapshot.version.value().unwrap();
    assert_eq!(version.version.as_str(), "2.1.4");
    let status = snapshot.status.value().unwrap();
    assert_eq!(status.sandbox_image.as_ref().map(Label::as_str), Some("registry.k8s.io/pause:3.8"));
    assert_eq!(status.stats_period, Some(10));
    let [image_fs] = snapshot.image_fs.value().unwrap().as_slice() else { panic!("one filesystem") };
    assert_eq!(image_fs.mountpoint.as_str(), "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs");
    assert_eq!(image_fs.used, Some(Bytes::new(3_031_040)));
    let [listed] = snapshot.pods.value().unwrap().items.as_slice() else { panic!("one pod") };
    let pod = &listed.pod;
    assert_eq!(
        [pod.id.as_str(), pod.name.as_str(), pod.namespace.as_str(), pod.uid.as_str()],
        ["pod-1", "capi-e2e", "test-pods", "uid-1"]
    );
    assert_eq!((pod.ready, pod.is_static), (Some(false), true));
    let job = "periodic-cluster-api-e2e-with-a-name-that-is-cut-off-in-the-label";
    assert_eq!(listed.prow_job.as_ref().map(Label::as_str), Some(job));
    assert_eq!(listed.prow_build_id.as_ref().map(Label::as_str), Some("1893"));
    let [container] = snapshot.containers.value().unwrap().items.as_slice() else { panic!("one container") };
    assert_eq!((container.name.as_str(), container.state), ("test", ContainerState::Exited));
    let ids = [&container.image_id, &container.image_ref].map(|id| id.as_ref().map(ImageId::as_str));
    assert_eq!(ids, [Some("sha256:def"), Some("sha256:abc")]);
    let images = snapshot.images.value().unwrap();
    assert!(images.is_complete());
    assert_eq!(images.items.iter().map(|image| image.size.unwrap().get()).collect::<Vec<_>>(), [10, 20]);
    assert_eq!(images.items[1].tags[0].as_str(), "example.test/two:dev");
    assert!(images.items[1].pinned);
}

/// Every 30 s, on every node: what is not used is not asked for.
#[test]
fn one_round_makes_these_calls_of_a_cri_and_no_others() {
    let calls = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    let place = Place::with_grpc(move |call| {
        seen.lock().unwrap().push(call.to_owned());
        well(call)
    });
    ask(&place, &patient());
    assert_eq!(
        *calls.lock().unwrap(),
        ["Version", "Status", "ImageFsInfo", "ListPodSandbox", "ListContainers", "ListImages"]
    );
}

#[test]
fn one_call_that_hangs_costs_itself_only() {
    // The others must answer within the limit even on a busy machine; the one that hangs costs it all.
    let limits = ReplyLimits { call: std::time::Duration::from_secs(3), ..patient() };
    let snapshot = ask(&well_but_for("ListPodSandbox", || Answer::Hang), &limits);
    others_are_well(&snapshot, "ListPodSandbox");
    assert_eq!(why(&snapshot.pods), (AbsenceReason::TimedOut, "ListPodSandbox of the CRI did not answer within 3s"));
}

#[test]
fn a_daemon_that_never_answers_is_asked_twice() {
    let place = Place::with(|stream| drop(std::io::copy(&mut &stream, &mut std::io::sink())));
    let snapshot = ask(&place, &impatient());
    assert_eq!(why(&snapshot.version).1, "Version of the CRI did not answer within 150ms");
    assert_eq!(why(&snapshot.status).0, AbsenceReason::TimedOut);
    let refusal = (AbsenceReason::NotRead, "not asked, since the daemon did not answer the calls before");
    assert_eq!((why(&snapshot.image_fs), why(&snapshot.images)), (refusal, refusal));
}

#[test]
fn a_daemon_without_a_cri_says_so() {
    let text = "unknown service runtime.v1.RuntimeService";
    let place = Place::with_grpc(move |_| Answer::Status(12, text.to_owned()));
    let snapshot = ask(&place, &patient());
    assert_eq!(
        why(&snapshot.images),
        (
            AbsenceReason::Failed,
            "ListImages of the CRI is not offered by this daemon, its CRI plugin is off or did not start: unknown service \
             runtime.v1.RuntimeService"
        )
    );
}

#[test]
fn odd_replies_cost_their_own_call_and_are_named() {
    use AbsenceReason::{Failed, Malformed};
    let message = framed(&image("one", 1));
    let cut_short = message[..message.len() - 3].to_vec();
    let mut compressed = message.clone();
    compressed[0] = 1;
    let wrong = "ListImages of the CRI answered with something else: ";
    let cases: Vec<(Answer, AbsenceReason, String)> = vec![
        (
            Answer::Status(2, "boom \u{1}".replace('\u{1}', "%01")),
            Failed,
            "ListImages of the CRI failed with gRPC status 2: boom %01".to_owned(),
        ),
        (Answer::Http(404, "application/grpc"), Malformed, format!("{wrong}HTTP status 404")),
        (Answer::Http(200, "text/html"), Malformed, format!("{wrong}content type text/html")),
        (Answer::NoStatus(message.clone()), Malformed, format!("{wrong}the reply ends without a gRPC status")),
        (Answer::Body(Vec::new()), Malformed, format!("{wrong}no message")),
        (Answer::Body(cut_short), Malformed, format!("{wrong}the message is shorter than announced")),
        (Answer::Body(compressed), Malformed, format!("{wrong}a compressed message, which was not asked for")),
        (Answer::Body([message.clone(), message].concat()), Malformed, format!("{wrong}more than one message")),
        (Answer::Message(vec![0xff; 40]), Malformed, format!("{wrong}not a protobuf message")),
        (
            Answer::Message([varint(10), varint(100), vec![0; 50]].concat()),
            Malformed,
            format!("{wrong}the message ends inside an entry"),
        ),
    ];
    for (answer, reason, text) in cases {
        let answer = Arc::new(std::sync::Mutex::new(Some(answer)));
        let snapshot = ask(&well_but_for("ListImages", move || answer.lock().unwrap().take().unwrap()), &patient());
        others_are_well(&snapshot, "ListImages");
        assert_eq!(why(&snapshot.images), (reason, text.as_str()));
    }
}

#[test]
fn a_hundred_megabytes_are_cut_or_refused_long_before() {
    let sent = Arc::new(AtomicUsize::new(0));
    // Images of 300 KB: few enough not to reach the limit of entries.
    let part = field(1, [field(1, "large"), field(9, vec![b'x'; 300_000])].concat());
    let count = Arc::clone(&sent);
    let place = well_but_for("ListImages", move || Answer::Endless {
        announced: 100_000_000,
        part: part.clone(),
        sent: Arc::clone(&count),
    });
    let snapshot = ask(&place, &patient());
    others_are_well(&snapshot, "none");
    let images = snapshot.images.value().unwrap();
    assert_eq!(images.cut, Some(Cut::Bytes(16 << 20)));
    assert!((50..60).contains(&images.items.len()), "{}", images.items.len());
    assert!(sent.load(Ordering::Relaxed) < 40 << 20, "{} bytes were taken", sent.load(Ordering::Relaxed));

    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let place = well_but_for("Version", move || Answer::Endless {
        announced: 100_000_000,
        part: vec![b'x'; 100_000],
        sent: Arc::clone(&count),
    });
    let snapshot = ask(&place, &patient());
    others_are_well(&snapshot, "Version");
    let text = "Version of the CRI answered with more than 1048576 bytes or entries";
    assert_eq!(why(&snapshot.version), (AbsenceReason::TooLarge, text));
    assert!(sent.load(Ordering::Relaxed) < 16 << 20, "{} bytes were taken", sent.load(Ordering::Relaxed));
}

#[test]
fn a_million_images_are_cut_at_the_limit_of_entries() {
    let million = || Answer::Message((0..1_000_000).flat_map(|n| image(&n.to_string(), n)).collect());
    let snapshot = ask(&well_but_for("ListImages", million), &patient());
    others_are_well(&snapshot, "none");
    let images = snapshot.images.value().unwrap();
    assert_eq!((images.items.len(), images.cut), (10_000, Some(Cut::Items(10_000))));
    assert_eq!(images.items[9_999].id.as_str(), "9999");
}

#[test]
fn small_messages_cannot_grow_into_a_large_list() {
    // An image with 64 names of one letter has 192 bytes on the wire and takes 3 KB in memory.
    let names: Vec<u8> = (0..64).flat_map(|_| field(2, "x")).collect();
    let many: Vec<u8> = (0..9_000).flat_map(|_| field(1, &names)).collect();
    assert!(many.len() < 2 << 20);
    let limits = ReplyLimits { bytes: 4 << 20, ..patient() };
    let snapshot = ask(&well_but_for("ListImages", move || Answer::Message(many.clone())), &limits);
    let images = snapshot.images.value().unwrap();
    assert_eq!(images.cut, Some(Cut::Bytes(4 << 20)));
    assert!((1_000..3_000).contains(&images.items.len()), "{}", images.items.len());
}

#[test]
fn sizes_that_cannot_be_are_not_known() {
    let images = || {
        let sizes = [0, i64::MAX as u64, 1 << 63, u64::MAX];
        Answer::Message(sizes.into_iter().flat_map(|size| image("x", size)).collect())
    };
    let snapshot = ask(&well_but_for("ListImages", images), &patient());
    let sizes: Vec<_> = snapshot.images.value().unwrap().items.iter().map(|image| image.size).collect();
    assert_eq!(sizes, [Some(Bytes::ZERO), Some(Bytes::new(9_223_372_036_854_775_807)), None, None]);

    let image_fs = || {
        let negative = (-5_i64) as u64;
        Answer::Message(field(1, [number(1, negative), field(3, number(1, negative))].concat()))
    };
    let snapshot = ask(&well_but_for("ImageFsInfo", image_fs), &patient());
    let usage = &snapshot.image_fs.value().unwrap()[0];
    assert_eq!(usage.used, None);
}

#[test]
fn a_malformed_or_huge_entry_is_left_out_and_the_list_says_so() {
    let images = || {
        let not_utf8 = field(1, field(1, [0xff, 0xfe]));
        let huge = field(1, [field(1, "huge"), field(9, vec![0; 2 << 20])].concat());
        let unknown = [field(77, "what a future version says"), number(78, 5)].concat();
        Answer::Message([image("first", 1), not_utf8, huge, unknown, image("last", 2)].concat())
    };
    let snapshot = ask(&well_but_for("ListImages", images), &patient());
    let images = snapshot.images.value().unwrap();
    assert_eq!(images.items.iter().map(|image| image.id.as_str()).collect::<Vec<_>>(), ["first", "last"]);
    assert_eq!(images.cut, Some(Cut::Unreadable(2)));
}

#[test]
fn settings_that_are_not_said_or_not_json_are_not_known() {
    for config in ["", "{", "[]", r#"{"sandboxImage":5}"#, r#"{"sandboxImage":"","containerd":{}}"#, "[[[[[[[["] {
        let place = well_but_for("Status", move || Answer::Message(pair(2, "config", config)));
        let snapshot = ask(&place, &patient());
        others_are_well(&snapshot, "none");
        assert_eq!(snapshot.status.value(), Some(&Status::default()), "{config}");
    }
}

#[test]
fn a_status_of_a_megabyte_is_not_kept() {
    let place = well_but_for("Version", || Answer::Status(2, "x".repeat(1 << 20)));
    let snapshot = ask(&place, &patient());
    others_are_well(&snapshot, "Version");
    assert_eq!(why(&snapshot.version).0, AbsenceReason::Failed);
    assert!(why(&snapshot.version).1.len() < 1_000);
}

/// Frames of HTTP/2: a length, a type, flags, a stream, the payload.
fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, 0], &stream.to_be_bytes(), payload].concat()
}

#[test]
fn what_is_no_http_2_or_breaks_off_is_a_failed_connection() {
    let settings = frame(4, 0, &[]);
    let goaway = frame(7, 0, &[0, 0, 0, 0, 0, 0, 0, 0]);
    let talks: Vec<(&str, Vec<u8>)> = vec![
        ("closes at once", Vec::new()),
        ("an SSH banner", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        ("HTTP/1.1", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("zeros", vec![0; 100_000]),
        ("noise", (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        ("GOAWAY", [settings.clone(), goaway].concat()),
        ("a frame of 16 MB", [settings.clone(), vec![0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1], vec![0; 100_000]].concat()),
        ("data without a head", [settings.clone(), frame(0, 1, b"hello")].concat()),
        ("a push", [settings, frame(5, 1, &[0, 0, 0, 2, 0x88])].concat()),
    ];
    for (name, talk) in talks {
        let place = Place::with(move |mut stream| {
            hear(&mut stream);
            stream.write_all(&talk).ok();
        });
        let snapshot = ask(&place, &patient());
        let (reason, text) = why(&snapshot.version);
        assert_eq!(reason, AbsenceReason::Failed, "{name}: {text}");
        assert!(text.starts_with("Version of the CRI: the connection failed: "), "{name}: {text}");
        assert_eq!(why(&snapshot.images).0, AbsenceReason::Failed, "{name}: every call is tried");
    }
}

#[test]
fn endless_pings_and_settings_cost_the_limit() {
    for kind in [6, 4] {
        let noise = if kind == 6 { frame(6, 0, &[0; 8]) } else { frame(4, 0, &[]) };
        let place = Place::with(move |mut stream| {
            stream.write_all(&frame(4, 0, &[])).ok();
            let noise: Vec<u8> = noise.iter().copied().cycle().take(noise.len() * 1_000).collect();
            while stream.write_all(&noise).is_ok() {}
        });
        let snapshot = ask(&place, &impatient());
        assert!(snapshot.version.absence().is_some());
        assert!(snapshot.images.absence().is_some());
    }
}

#[test]
fn a_connection_that_cannot_be_ended_politely_is_closed_all_the_same() {
    // The peer wants every ping answered and reads nothing: after about a second there is no room left for our answers.
    let (open, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&open), Arc::clone(&ended));
    let place = Place::with(move |mut stream| {
        counts.0.fetch_add(1, Ordering::Relaxed);
        stream.write_all(&frame(4, 0, &[])).ok();
        while stream.write_all(&frame(6, 0, &[0; 8])).is_ok() {}
        counts.1.fetch_add(1, Ordering::Relaxed);
    });
    // The runtime outlives the round, as in the agent.
    let runtime = runtime();
    let limits = ReplyLimits { call: std::time::Duration::from_millis(1_500), ..patient() };
    let snapshot = runtime.block_on(snapshot(&place.endpoint(), &limits, NOW));
    assert_eq!(why(&snapshot.status).0, AbsenceReason::TimedOut);
    assert_eq!(open.load(Ordering::Relaxed), 2);
    runtime.block_on(async {
        for _ in 0..6_000 {
            if ended.load(Ordering::Relaxed) == 2 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("a connection is still open");
    });
}
