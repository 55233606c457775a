use super::*;
use crate::layer::LayerKind;
use crate::sample::{FilesystemId, Image, ImageId, ImageStore, Reading, Sample, SettingsFile, Space};
use crate::time::{Span, Timestamp};
use crate::units::{Bytes, Inodes};
use crate::untrusted::Label;
use std::io::Cursor;

pub(super) fn written(samples: &[Sample]) -> Vec<u8> {
    let mut encoder = Encoder::new("a test");
    let mut out = Vec::new();
    for sample in samples {
        encoder.encode(sample, &mut out);
    }
    out
}

pub(super) fn read(bytes: &[u8]) -> (Vec<Sample>, Report) {
    let mut reader = Reader::new(Cursor::new(bytes));
    let samples = std::iter::from_fn(|| reader.next_sample()).collect();
    (samples, reader.into_report())
}

fn lines(lines: &[&str]) -> (Vec<Sample>, Vec<String>) {
    let (samples, report) = read(lines.join("\n").as_bytes());
    let damage = report.damage.iter().map(|damage| {
        let mut text = damage.to_string();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(damage);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    });
    (samples, damage.collect())
}

pub(super) const HEADER: &str = r#"{"type":"header","format":"highwater-recording","version":1}"#;
pub(super) const DISK: &str = r#"{"type":"filesystem","filesystem":"disk","capacity":1000,"device":"/dev/sda1"}"#;

#[test]
fn a_file_written_by_hand_says_no_more_than_it_has_to() {
    let (samples, damage) = lines(&[
        HEADER,
        DISK,
        r#"{"type":"space","filesystem":"disk","available":400}"#,
        r#"{"type":"layer","layer":"host","imagefs":"disk"}"#,
        r#"{"type":"kubelet","layer":"host","started_at":"2026-01-01T00:00:00Z"}"#,
        r#"{"type":"config","layer":"host","file":{"path":"/k.yaml","settings":{"imageGCHighThresholdPercent":80,"imageMinimumGCAge":"1m","evictionHard":{"imagefs.available":"10%"}}}}"#,
        r#"{"type":"image","layer":"host","id":"a","size":10}"#,
        r#"{"type":"images","layer":"host"}"#,
        r#"{"type":"sample","at":1767225900}"#,
        r#"{"type":"sample","at":1767225960.5}"#,
    ]);
    assert_eq!(damage, [""; 0]);
    let [first, second] = &samples[..] else { panic!("two samples") };
    let at = Timestamp::from_micros(1_767_225_900_000_000);
    assert_eq!(first.at, at);
    let id = FilesystemId { dev: 0, capacity: Bytes::new(1_000), files: Inodes::new(0) };
    let space = Space {
        capacity: Bytes::new(1_000),
        free: Bytes::new(400),
        available: Bytes::new(400),
        files: Inodes::new(0),
        files_free: Inodes::new(0),
    };
    assert_eq!(first.filesystems[0].id, id);
    assert_eq!(first.filesystems[0].space, Reading::present(space, at));
    let layer = &first.layers[0];
    assert_eq!((layer.kind, layer.image_store.as_str()), (LayerKind::Host, "/var/lib/containerd"));
    assert_eq!((&layer.imagefs, &layer.nodefs), (&Reading::present(id, at), &Reading::present(id, at)));
    let kubelet = layer.kubelet.as_ref().unwrap();
    assert_eq!(kubelet.started_at.micros(), 1_767_225_600_000_000);
    let SettingsFile { path, settings } = kubelet.config.value().unwrap().file.as_ref().unwrap();
    assert_eq!(path.as_str(), "/k.yaml");
    assert_eq!(settings.image_gc_high_threshold_percent, Some(80));
    assert_eq!(settings.image_minimum_gc_age, Some(Span::from_secs(60)));
    assert_eq!(settings.eviction_hard.as_ref().unwrap()["imagefs.available"].as_deref(), Some("10%"));
    let store = layer.images.value().unwrap();
    assert!(store.complete);
    assert_eq!(store.images[0].size, Some(Bytes::new(10)));
    // Without a time of its own everything was read again for the second sample.
    assert_eq!(second.filesystems[0].space, Reading::present(space, Timestamp::from_micros(1_767_225_960_500_000)));
}

#[test]
fn what_a_newer_writer_adds_is_skipped_and_counted() {
    let text = [
        HEADER,
        DISK,
        r#"{"type":"gpu","layer":"host"}"#,
        r#"{"type":"space","filesystem":"disk","available":400,"colour":"blue","at":3}"#,
        r#"{"type":"sample","at":5,"moon":"full"}"#,
    ];
    let (samples, report) = read(text.join("\n").as_bytes());
    assert_eq!(samples.len(), 1);
    assert_eq!(samples[0].filesystems[0].space.age(samples[0].at), Some(Span::from_secs(2)));
    assert_eq!(report.skipped, Skipped { lines: 1, fields: 2, lost: 0 });
    assert_eq!((report.lines, report.samples, report.damage.len()), (5, 1, 0));
}

#[test]
fn damage_costs_what_follows_up_to_the_next_header() {
    let sample = r#"{"type":"sample","at":5}"#;
    let text = [HEADER, sample, "{\"type\":\"sam\0", sample, "junk", HEADER, sample].join("\n");
    let (samples, report) = read(text.as_bytes());
    assert_eq!(samples.len(), 2);
    assert_eq!(report.damage.len(), 1);
    assert_eq!(report.damage[0].line, 3);
    assert_eq!(report.skipped.lost, 2);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let cases = [
        ("", r#"line 2: the line has no "type""#),
        ("[1]", "line 2: the line is not a JSON object: "),
        (r#"{"type":"sample"}"#, "line 2: the sample line cannot be understood: missing field `at`"),
        (
            r#"{"type":"sample","at":-1}"#,
            "line 2: the sample line cannot be understood: invalid value: integer `-1`, expected seconds since 1970, or a time as 2026-11-24T07:45:54.25Z, not after 2106",
        ),
        (
            r#"{"type":"sample","at":5e9}"#,
            "line 2: the sample line cannot be understood: invalid value: floating point",
        ),
        (
            r#"{"type":"layer","layer":"host","kind":"\u001b[2J"}"#,
            "line 2: the layer line cannot be understood: unknown variant `\u{FFFD}[2J`, expected one of",
        ),
        (
            r#"{"type":"sample","at":"noon"}"#,
            "line 2: the sample line cannot be understood: invalid value: string \"noon\", expected seconds",
        ),
        (
            r#"{"type":"space","filesystem":"x","available":1}"#,
            "line 2: the line is about the filesystem x, which no line before has declared",
        ),
        (
            r#"{"type":"layer","layer":"host","imagefs":"x"}"#,
            "line 2: the line is about the filesystem x, which no line before has declared",
        ),
        (
            r#"{"type":"images","layer":"h\u001b"}"#,
            "line 2: the line is about the layer h\u{FFFD}, which no line before has declared",
        ),
        (
            r#"{"type":"header","format":"highwater-recording","version":2}"#,
            "line 2: the recording has version 2 of the format and this highwater reads version 1: use a newer one",
        ),
        (
            r#"{"type":"header","format":"other","version":1}"#,
            "line 2: the header names the format \"other\", not highwater-recording",
        ),
    ];
    for (line, expected) in cases {
        let line = if line.is_empty() { "{}" } else { line };
        let (samples, damage) = lines(&[HEADER, line, ""]);
        assert!(samples.is_empty());
        assert_eq!(damage.len(), 1, "{line}");
        assert!(damage[0].starts_with(expected), "{} is not {expected}", damage[0]);
    }
    let (_, damage) = lines(&["hello", ""]);
    assert!(damage[0].starts_with("line 1: the line is not a JSON object"), "{damage:?}");
    let (_, damage) = lines(&[r#"{"type":"sample","at":5}"#, ""]);
    assert!(
        damage[0].starts_with("line 1: a recording begins with a header line, {\"type\":\"header\","),
        "{damage:?}"
    );
    let (_, damage) = lines(&[HEADER, r#"{"type":"samp"#]);
    assert_eq!(damage[0], "line 2: the file ends within this line: it is cut off, or still being written");
}

#[test]
fn two_samples_of_one_time_are_an_error() {
    let sample = r#"{"type":"sample","at":5}"#;
    let (samples, damage) = lines(&[HEADER, sample, sample, r#"{"type":"sample","at":6}"#]);
    assert_eq!(
        (samples.len(), &damage[..]),
        (1, &["line 3: this sample has the same time as the one before it: 1970-01-01T00:00:05Z".to_owned()][..])
    );
    // A clock can be set back, and another recording can begin with the time that this one ends with.
    let (samples, damage) = lines(&[HEADER, sample, r#"{"type":"sample","at":4}"#, sample, HEADER, sample]);
    assert_eq!((samples.len(), damage.len()), (4, 0));
}

#[test]
fn images_that_were_listed_after_their_sample_are_an_error() {
    let layer = r#"{"type":"layer","layer":"host"}"#;
    let listed = r#"{"type":"images","layer":"host","at":5.5}"#;
    let (samples, damage) = lines(&[HEADER, layer, listed, r#"{"type":"sample","at":5.5}"#]);
    assert_eq!((samples.len(), damage.len()), (1, 0));
    let (samples, damage) = lines(&[HEADER, layer, listed, r#"{"type":"sample","at":4}"#]);
    assert_eq!(
        (samples.len(), &damage[..]),
        (0, &["line 4: the images of layer host were listed 1.5 s after this sample".to_owned()][..])
    );
}

#[test]
fn a_list_that_came_in_after_its_sample_was_begun_is_written_with_the_time_of_the_sample() {
    let layer = r#"{"type":"layer","layer":"host"}"#;
    let mut sample = lines(&[HEADER, layer, r#"{"type":"sample","at":5}"#]).0.remove(0);
    let store = ImageStore { complete: true, ..ImageStore::default() };
    sample.layers[0].images = Reading::present(store.clone(), sample.at + Span::from_millis(3));
    let (samples, report) = read(&written(&[sample.clone()]));
    assert_eq!(report.damage.len(), 0);
    assert_eq!(samples[0].layers[0].images, Reading::present(store, sample.at));
}

#[test]
fn what_a_line_leaves_out_follows_from_the_filesystem_it_names() {
    let (samples, damage) = lines(&[
        HEADER,
        r#"{"type":"filesystem","filesystem":"disk","capacity":1000,"files":90,"device":"/dev/sda1"}"#,
        r#"{"type":"layer","layer":"host","imagefs":"disk"}"#,
        r#"{"type":"space","filesystem":"disk","stuck":true}"#,
        r#"{"type":"usage","filesystem":"disk"}"#,
        r#"{"type":"sample","at":5}"#,
        r#"{"type":"space","filesystem":"disk","available":400}"#,
        r#"{"type":"filesystem","filesystem":"disk","capacity":2000,"files":90,"device":"/dev/sda1"}"#,
        r#"{"type":"sample","at":6}"#,
        r#"{"type":"gone","filesystem":"disk"}"#,
        r#"{"type":"sample","at":7}"#,
    ]);
    assert_eq!(damage, [""; 0]);
    let [first, second, third] = &samples[..] else { panic!("three samples") };
    let not_recorded = "not_read: not in the recording";
    let disk = &first.filesystems[0];
    assert!(disk.stuck);
    assert_eq!(disk.space.absence().unwrap().to_string(), not_recorded);
    assert_eq!(disk.usage.absence().unwrap().to_string(), not_recorded);
    let space = second.filesystems[0].space.value().unwrap();
    assert_eq!((space.free.get(), space.files.get(), space.files_free.get()), (400, 90, 90));
    // The disk was enlarged: the layer is still on it.
    assert_eq!(second.layers[0].imagefs.value(), Some(&second.filesystems[0].id));
    assert_eq!(second.filesystems[0].id.capacity, Bytes::new(2_000));
    let absence = third.layers[0].nodefs.absence().unwrap().to_string();
    assert_eq!(absence, "gone: the filesystem is gone from the recording");
}

#[test]
fn a_release_or_a_list_that_is_malformed_is_not_taken_for_missing() {
    let cases = [
        (
            r#"{"type":"kubelet","layer":"host","started_at":1,"version":5}"#,
            "invalid type: integer `5`, expected a string",
        ),
        (
            r#"{"type":"kubelet","layer":"host","started_at":1,"version":"v1.37.2","version_origin":"rumour"}"#,
            "unknown variant `rumour`",
        ),
        (
            r#"{"type":"config","layer":"host","file":{"path":"/c","settings":{"imageMinimumGCAge":"2 minutes"}}}"#,
            "\"2 minutes\" is no duration such as 2m0s",
        ),
        (r#"{"type":"images","layer":"host","complete":3}"#, "invalid type: integer `3`, expected a boolean"),
        (r#"{"type":"images","layer":"host","absent":"elsewhere"}"#, "unknown variant `elsewhere`"),
    ];
    for (line, expected) in cases {
        let (_, damage) = lines(&[HEADER, r#"{"type":"layer","layer":"host"}"#, line, ""]);
        assert!(damage.len() == 1 && damage[0].contains(expected), "{damage:?} is not {expected}");
    }
}

#[test]
fn a_line_without_end_costs_no_memory_and_one_message() {
    let long = "x".repeat(LINE_LIMIT * 3);
    let text = [HEADER, &long, HEADER, r#"{"type":"sample","at":5}"#].join("\n");
    let (samples, report) = read(text.as_bytes());
    assert_eq!((samples.len(), report.damage.len(), report.lines), (1, 1, 4));
    assert!(matches!(report.damage[0].cause, reader::DamageCause::Line(LineError::TooLong)));
    let (_, report) = read([HEADER, &long].join("\n").as_bytes());
    assert_eq!(report.damage.len(), 1);
}

#[test]
fn more_layers_than_any_node_has_are_refused() {
    let layers = (0..5_000).map(|number| format!("{{\"type\":\"layer\",\"layer\":\"{number}\"}}"));
    let text: Vec<String> = std::iter::once(HEADER.to_owned()).chain(layers).collect();
    let (_, report) = read(text.join("\n").as_bytes());
    assert_eq!(report.damage[0].line, 4_098);
    assert!(matches!(report.damage[0].cause, reader::DamageCause::Line(LineError::TooMuch)));
}

#[test]
fn an_item_that_fits_no_line_is_left_out_and_the_list_is_not_whole() {
    let image = |id: &str, tags: usize| Image {
        id: ImageId::from(id),
        tags: (0..tags).map(|n| Label::from(format!("{n:0250}"))).collect(),
        digests: Vec::new(),
        size: None,
        pinned: false,
        layers: None,
    };
    let store = ImageStore { images: vec![image("a", 1), image("b", 20_000)], complete: true, ..ImageStore::default() };
    let mut sample = lines(&[HEADER, r#"{"type":"layer","layer":"host"}"#, r#"{"type":"sample","at":5}"#]).0.remove(0);
    sample.layers[0].images = Reading::present(store, sample.at);
    let (samples, _) = read(&written(&[sample]));
    let store = samples[0].layers[0].images.value().unwrap();
    assert_eq!((store.images.len(), store.complete), (1, false));
}

#[test]
fn what_did_not_change_takes_one_line() {
    let (mut samples, _) = lines(&[
        HEADER,
        DISK,
        r#"{"type":"space","filesystem":"disk","available":400}"#,
        r#"{"type":"layer","layer":"host","imagefs":"disk"}"#,
        r#"{"type":"kubelet","layer":"host","started_at":1}"#,
        r#"{"type":"config","layer":"host","at":4,"root_dir":"/k"}"#,
        r#"{"type":"image","layer":"host","id":"a"}"#,
        r#"{"type":"images","layer":"host","at":3}"#,
        r#"{"type":"sample","at":5}"#,
        r#"{"type":"sample","at":10}"#,
        r#"{"type":"config","layer":"host","at":11,"unchanged":true}"#,
        r#"{"type":"images","layer":"host","at":12}"#,
        r#"{"type":"sample","at":15}"#,
        r#"{"type":"gone","layer":"host","image":"a"}"#,
        r#"{"type":"images","layer":"host","at":18,"complete":false}"#,
        r#"{"type":"gone","layer":"host","kubelet":true}"#,
        r#"{"type":"sample","at":20}"#,
        r#"{"type":"gone","layer":"host"}"#,
        r#"{"type":"gone","filesystem":"disk"}"#,
        r#"{"type":"sample","at":25}"#,
    ]);
    let whole = String::from_utf8(written(&samples)).unwrap();
    let kinds: Vec<_> = whole.lines().map(|line| line.split('"').nth(3).unwrap()).collect();
    let first = ["header", "filesystem", "space", "usage", "layer", "sources", "kubelet", "config", "image", "images"];
    assert_eq!(kinds[..10], first);
    assert_eq!(
        kinds[10..],
        [
            "sample", "sample", "config", "images", "sample", "gone", "gone", "images", "sample", "gone", "gone",
            "sample"
        ]
    );
    assert!(whole.contains(r#"{"type":"config","layer":"host","at":11.0,"unchanged":true}"#), "{whole}");
    assert_eq!(read(whole.as_bytes()).0, samples);
    // Beginning anew in the middle gives the same samples from there on.
    let rest = samples.split_off(2);
    assert_eq!(read(&written(&rest)).0, rest);
}
