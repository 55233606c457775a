//! What can a dockerd do?

use super::peer::{NOW, Place, hear, impatient, json, patient, runtime, why};
use highwater::access::socket::ReplyLimits;
use highwater::sample::AbsenceReason;
use highwater::source::docker::{ApiVersion, DockerSnapshot, NodeTool, snapshot};
use highwater::source::listing::Cut;
use highwater::untrusted::Label;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

const VERSION: &str =
    r#"{"Platform":{"Name":""},"Version":"26.1.5","ApiVersion":"1.45","MinAPIVersion":"1.24","Os":"linux"}"#;
const INFO: &str = r#"{"ID":"x","Containers":1,"Driver":"overlayfs","DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]],
    "DockerRootDir":"/docker-graph","Plugins":{"Volume":["local"]}}"#;
const CONTAINERS: &str = r#"[
    {"Id":"aa11","Names":["/capi-worker"],"Image":"kindest/node:v1.37.2","ImageID":"sha256:abc","Command":"x","Created":1795508272,
     "Ports":[],"Labels":{"io.x-k8s.kind.cluster":"capi","io.x-k8s.kind.role":"worker","a":"b"},"State":"running","Mounts":[]},
    {"Id":"bb22","Names":["/k3d-x-server-0","/other"],"Image":"k3s","ImageID":"sha256:def","Created":0,
     "Labels":{"app":"k3d","k3d.cluster":"x","k3d.role":"server"},"State":"exited"},
    {"Id":"cc33","Names":null,"Image":"","ImageID":"","Created":-5,"Labels":null,"State":"created"}]"#;
fn well(path: &str) -> Vec<u8> {
    let body = match path {
        "/version" => VERSION,
        "/v1.45/info" => INFO,
        "/v1.45/containers/json?all=1" => CONTAINERS,
        other => panic!("{other} is not a cheap call"),
    };
    json("200 OK", body)
}

/// A daemon that is well, except that it answers `odd` with these bytes.
fn well_but_for(odd: &'static str, answer: impl Into<Vec<u8>>) -> Place {
    let answer = answer.into();
    Place::with_http(move |path| if path == odd { answer.clone() } else { well(path) })
}

fn ask(place: &Place, limits: &ReplyLimits) -> DockerSnapshot {
    runtime().block_on(snapshot(&place.endpoint(), limits, NOW))
}

#[test]
fn a_daemon_that_is_well_is_read_field_by_field() {
    let snapshot = ask(&well_but_for("none", ""), &patient());
    let version = snapshot.version.value().unwrap();
    assert_eq!(version.version.as_str(), "26.1.5");
    assert_eq!((version.api, version.oldest_api), (Some(ApiVersion::new(1, 45)), Some(ApiVersion::new(1, 24))));
    let info = snapshot.info.value().unwrap();
    assert_eq!(info.root_dir.as_str(), "/docker-graph");
    assert_eq!(info.snapshotter.as_ref().map(Label::as_str), Some("overlayfs"));
    let [kind, k3d, bare] = snapshot.containers.value().unwrap().items.as_slice() else { panic!("three containers") };
    assert_eq!([kind.id.as_str(), kind.name.as_str()], ["aa11", "capi-worker"]);
    let node = kind.node.as_ref().unwrap();
    assert_eq!(node.tool, NodeTool::KindOrCapd);
    assert_eq!(
        [&node.cluster, &node.role].map(|label| label.as_ref().map(Label::as_str)),
        [Some("capi"), Some("worker")]
    );
    assert_eq!(k3d.node.as_ref().unwrap().tool, NodeTool::K3d);
    assert_eq!((bare.name.as_str(), bare.node.is_none()), ("", true));
}

#[test]
fn a_graph_driver_is_no_snapshotter() {
    let info =
        r#"{"Driver":"overlay2","DriverStatus":[["Backing Filesystem","extfs"]],"DockerRootDir":"/var/lib/docker"}"#;
    let snapshot = ask(&well_but_for("/v1.45/info", json("200 OK", info)), &patient());
    assert_eq!(snapshot.info.value().unwrap().snapshotter, None);
}

/// Every 30 s, on every node: what is not used is not asked for.
#[test]
fn one_round_makes_these_calls_of_a_dockerd_and_no_others() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    let place = Place::with_http(move |path| {
        seen.lock().unwrap().push(path.to_owned());
        well(path)
    });
    ask(&place, &patient());
    assert_eq!(*calls.lock().unwrap(), ["/version", "/v1.45/info", "/v1.45/containers/json?all=1"]);
}

#[test]
fn the_older_api_is_spoken_but_none_that_the_daemon_refuses() {
    let cases = [
        (r#""ApiVersion":"1.41","MinAPIVersion":"1.12""#, "/v1.41/info"),
        (r#""ApiVersion":"1.99","MinAPIVersion":"1.44""#, "/v1.51/info"),
        (r#""ApiVersion":"1.99","MinAPIVersion":"1.60""#, "/v1.60/info"),
        (r#""ApiVersion":"../../x","MinAPIVersion":"1.60""#, "/info"),
        (r#""Os":"linux""#, "/info"),
    ];
    for (says, asked) in cases {
        let paths = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&paths);
        let place = Place::with_http(move |path| {
            seen.lock().unwrap().push(path.to_owned());
            if path == "/version" {
                json("200 OK", &format!(r#"{{"Version":"x",{says}}}"#))
            } else {
                json("404 Not Found", "")
            }
        });
        ask(&place, &patient());
        assert_eq!(paths.lock().unwrap()[1], asked, "{says}");
    }
}

#[test]
fn one_call_that_fails_costs_itself_only() {
    let error = json("500 Internal Server Error", r#"{"message":"boom"}"#);
    let snapshot = ask(&well_but_for("/v1.45/info", error), &patient());
    assert_eq!(
        why(&snapshot.info),
        (AbsenceReason::Failed, r#"GET /v1.45/info of Docker failed with HTTP status 500: {"message":"boom"}"#)
    );
    assert!(snapshot.version.value().is_some() && snapshot.containers.value().is_some());
    assert_eq!(snapshot.containers.value().unwrap().items.len(), 3);
}

#[test]
fn a_daemon_that_never_answers_is_asked_twice() {
    let place = Place::with(|stream| drop(std::io::copy(&mut &stream, &mut std::io::sink())));
    let snapshot = ask(&place, &impatient());
    assert_eq!(why(&snapshot.version), (AbsenceReason::TimedOut, "GET /version of Docker did not answer within 150ms"));
    assert_eq!(why(&snapshot.info).0, AbsenceReason::TimedOut);
    assert_eq!(why(&snapshot.containers).0, AbsenceReason::NotRead);
}

#[test]
fn what_is_no_http_or_no_json_is_malformed_or_failed() {
    let cases: [(&str, &[u8], AbsenceReason); 7] = [
        ("closes at once", b"", AbsenceReason::Failed),
        ("closes in the middle", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"Version\":", AbsenceReason::Failed),
        ("an SSH banner", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", AbsenceReason::Malformed),
        ("no JSON", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", AbsenceReason::Malformed),
        ("other JSON", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", AbsenceReason::Malformed),
        ("a lie about the length", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", AbsenceReason::Malformed),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
            AbsenceReason::Malformed,
        ),
    ];
    for (name, reply, reason) in cases {
        let place = Place::with(move |mut stream| {
            hear(&mut stream);
            stream.write_all(reply).ok();
        });
        let snapshot = ask(&place, &patient());
        let (seen, text) = why(&snapshot.version);
        assert_eq!(seen, reason, "{name}: {text}");
        assert!(text.starts_with("GET /version of Docker"), "{name}: {text}");
    }
}

/// A reply that goes on as long as somebody reads, and how many bytes that were.
fn endless(odd: &'static str, start: &'static str, part: &'static str) -> (Place, Arc<Mutex<usize>>) {
    let sent = Arc::new(Mutex::new(0));
    let count = Arc::clone(&sent);
    let place = Place::with(move |mut stream| {
        let mut request = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut request) {
            let head = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            if path != odd {
                stream.write_all(&well(path)).ok();
                continue;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n").ok();
            stream.write_all(start.as_bytes()).ok();
            let parts = part.repeat(1_000);
            while stream.write_all(parts.as_bytes()).is_ok() {
                *count.lock().unwrap() += parts.len();
            }
        }
    });
    (place, sent)
}

#[test]
fn a_hundred_megabytes_are_cut_or_refused_long_before() {
    let part = r#"{"Id":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","Names":["/x"],"Size":1,"Labels":{"long":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}},"#;
    let (place, sent) = endless("/v1.45/containers/json?all=1", "[", part);
    let limits = ReplyLimits { bytes: 1 << 20, ..patient() };
    let snapshot = ask(&place, &limits);
    let containers = snapshot.containers.value().unwrap();
    assert_eq!(containers.cut, Some(Cut::Bytes(1 << 20)));
    assert!((6_000..7_500).contains(&containers.items.len()), "{}", containers.items.len());
    assert!(*sent.lock().unwrap() < 4 << 20, "{} bytes were taken", sent.lock().unwrap());

    let (place, sent) = endless("/version", r#"{"Version":""#, "x");
    let snapshot = ask(&place, &limits);
    let text = "GET /version of Docker answered with more than 1048576 bytes";
    assert_eq!(why(&snapshot.version), (AbsenceReason::TooLarge, text));
    assert!(*sent.lock().unwrap() < 4 << 20, "{} bytes were taken", sent.lock().unwrap());
}

#[test]
fn a_million_containers_are_cut_at_the_limit_of_entries() {
    let body = format!("[{}{{\"Id\":\"last\"}}]", r#"{"Id":"x"},"#.repeat(1_000_000));
    let snapshot = ask(&well_but_for("/v1.45/containers/json?all=1", json("200 OK", &body)), &patient());
    let containers = snapshot.containers.value().unwrap();
    assert_eq!((containers.items.len(), containers.cut), (10_000, Some(Cut::Items(10_000))));
}

#[test]
fn a_head_without_end_and_a_flood_of_heads_are_refused() {
    for head in ["X-Long: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "X: y\r\n"] {
        let place = Place::with(move |mut stream| {
            hear(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\n").ok();
            while stream.write_all(head.as_bytes()).is_ok() {}
        });
        let snapshot = ask(&place, &patient());
        assert_eq!(why(&snapshot.version).0, AbsenceReason::Malformed, "{}", why(&snapshot.version).1);
    }
}
