//! What do a person and a script see of a fixed node?

use crate::node;
use highwater::export::page::PageOptions;
use highwater::export::{json, page, table};
use highwater::report::{Explanation, Report};
use highwater::sample::{AbsenceReason, Reading};
use highwater::snapshot::Snapshot;
use highwater::time::Span;
use highwater::verdict::Windows;
use proptest::prelude::*;

#[test]
fn the_table_on_a_wide_terminal() {
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("table-wide", node::table(&node::snapshot(), Some(200)));
    });
}

#[test]
fn the_table_on_a_narrow_terminal() {
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("table-narrow", node::table(&node::snapshot(), Some(120)));
    });
}

/// What comes first and when is on the narrowest one.
#[test]
fn the_table_on_terminals_that_are_narrower_still() {
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        for width in [60, 80, 100] {
            let table = node::table(&node::snapshot(), Some(width));
            let (layers, _) = table.split_once("\n\n").unwrap();
            insta::assert_snapshot!(format!("table-{width}"), layers);
        }
    });
}

/// An agent of a later release says what this one does not know.
#[test]
fn what_is_not_known_of_a_newer_agent_is_shown_and_no_error() {
    let ours = node::report(&node::snapshot());
    let json = node::json(&node::snapshot());
    let newer = json
        .replace("\"image_gc\"", "\"quota_gc\"")
        .replace("\"capd_node\"", "\"kwok\\u001b_node\"")
        .replace("\"stale\": false", "\"stale\": false, \"moon\": {\"phase\": 3}");
    let read: Report = serde_json::from_str(&newer).unwrap();
    let table = table::render(&read, None);
    assert!(table.contains("quota_gc") && table.contains("kwok\u{FFFD}_node"), "{table}");
    let page = page::render(Some((&read, &node::explanation(&node::snapshot()))), &PageOptions::default());
    assert!(page.contains("quota_gc"), "{page}");
    // What is known comes back as it was; points in time to the second, and the chart's not at all.
    let read: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(json::line(&read), json);
    assert_eq!(table::render(&read, None), table::render(&ours, None));
    let explanation = json::line(&node::explanation(&node::snapshot()));
    let read: Explanation = serde_json::from_str(&explanation).unwrap();
    assert_eq!(json::line(&read), explanation);
}

/// By these windows, at this age: status, reason, and what decides.
#[test]
fn the_verdict_says_what_decides() {
    let snapshot = node::snapshot();
    let judged = |snapshot: &Snapshot, age: i64, critical: i64, warning: i64| {
        let windows = Windows { critical: Span::from_secs(critical), warning: Span::from_secs(warning) };
        let found = Report::new(snapshot, node::AT + Span::from_secs(age)).judge(windows);
        let reason = serde_json::to_value(found.reason).unwrap().as_str().unwrap_or_default().to_owned();
        let decides = found.trigger.map(|word| word.to_string()).or(found.source.map(|word| word.to_string()));
        (found.status.to_string(), reason, found.layer.map(|layer| layer.to_string()), decides)
    };
    let says = |status: &str, reason: &str, layer: Option<&str>, decides: Option<&str>| {
        (status.to_owned(), reason.to_owned(), layer.map(str::to_owned), decides.map(str::to_owned))
    };
    let image_gc = |status| says(status, "trigger_expected", Some("host"), Some("image_gc"));
    // The line is crossed in 1,100 s, and the kubelet acts in 1,300 s.
    assert_eq!(judged(&snapshot, 2, 1_300, 7_200), image_gc("critical"));
    assert_eq!(judged(&snapshot, 2, 1_299, 7_200), image_gc("warning"));
    let blind = "host/test-pods/4f0c8a1e-prow/capd-worker-new";
    assert_eq!(judged(&snapshot, 2, 1_000, 1_299), says("unknown", "source_down", Some(blind), Some("kubelet_config")));
    assert_eq!(judged(&snapshot, 61, 1_300, 7_200), says("unknown", "stale", None, None));
    let mut crossed = snapshot.clone();
    crossed.assessment.layers[2].triggers[0].headroom = Some(-1);
    let old = "host/test-pods/4f0c8a1e-prow/capd-worker-old";
    let expected = says("critical", "trigger_crossed", Some(old), Some("image_gc"));
    assert_eq!(judged(&crossed, 2, 1, 1), expected);
    let mut calm = snapshot.clone();
    calm.sample.layers.pop();
    assert_eq!(judged(&calm, 2, 1, 1), says("ok", "", None, None));
    calm.assessment.layers.clear();
    assert_eq!(judged(&calm, 2, 1, 1), says("unknown", "no_trigger", None, None));
}

#[test]
fn the_json() {
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("snapshot-json", node::json(&node::snapshot()));
    });
}

#[test]
fn the_page() {
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("page", node::page(&node::snapshot()));
    });
}

fn page_of(text: &str) -> String {
    let options = PageOptions { notice: Some(text.to_owned()), ..PageOptions::default() };
    node::page_with(&node::hostile(text), &options)
}

/// The names of all elements of a page, in order, and whether a quote is left open.
fn elements(page: &str) -> Vec<&str> {
    page.split('<').skip(1).filter_map(|tag| tag.split([' ', '>', '\n']).next()).collect()
}

#[test]
fn hostile_names_add_no_element_and_no_attribute_to_the_page() {
    let harmless = page_of("x");
    for text in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</title></svg><style>*{display:none}</style>",
        "--><!--",
        "&lt;b&gt;",
        "]]>",
    ] {
        let page = page_of(text);
        assert_eq!(elements(&page), elements(&harmless), "{text}");
        assert_eq!(page.matches('"').count(), harmless.matches('"').count(), "{text}");
        assert_eq!(page.matches('\'').count(), harmless.matches('\'').count(), "{text}");
        assert!(!page.contains(text), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_name_opens_an_element_or_ends_a_quote(text in "([<>&\"'/!=-]|script|[a-z ]|\\PC){1,60}") {
        let page = page_of(&text);
        let harmless = page_of("x");
        prop_assert_eq!(elements(&page), elements(&harmless));
        prop_assert_eq!(page.matches('"').count(), harmless.matches('"').count());
        prop_assert_eq!(page.matches('\'').count(), harmless.matches('\'').count());
    }
}

#[test]
fn marks_that_turn_the_reading_direction_and_controls_do_not_reach_any_surface() {
    let text = "a\u{202E}b\u{2066}c\u{1b}[31md\u{200B}e\r\nf";
    let snapshot = node::hostile(text);
    let surfaces = [
        page_of(text).replace(&text.replace('&', "&amp;"), ""), // The notice is ours, and is not foreign text.
        node::table(&snapshot, Some(160)),
        node::json(&snapshot),
    ];
    for surface in surfaces {
        let harmful = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202E}' | '\u{2066}' | '\u{200B}');
        assert!(!surface.contains(harmful), "{surface}");
        assert!(!surface.contains("\\u001b"), "{surface}");
    }
}

#[test]
fn ten_kilobytes_of_name_leave_the_page_small() {
    assert!(page_of("x").len() + 80_000 > page_of(&"é".repeat(10_000)).len());
}

#[test]
fn what_cannot_be_undone_and_will_come_is_said_first() {
    let page = node::page(&node::snapshot());
    let (sentence, later) =
        (page.find("capd-worker-old</b> deletes 2 images").unwrap(), page.find("Later: image GC of host").unwrap());
    let bar = page.find("<svg class=\"bar\"").unwrap();
    assert!(sentence < later && later < bar);
    assert_eq!(page.matches("<li class=\"critical\">").count(), 1, "the host is spared and no reason to hurry");
}

/// docs/status-page.md promises it.
const LARGEST_PAGE: usize = 256 << 10;

#[test]
fn the_page_is_bounded_however_much_there_is_to_say() {
    let mut crowd = node::crowd();
    for dev in 0..40 {
        let mut disk = crowd.sample.filesystems[0].clone();
        disk.id.dev += 1 + dev;
        disk.space = Reading::absent(AbsenceReason::TimedOut, "&".repeat(1_000));
        crowd.sample.filesystems.push(disk);
    }
    for text in ["x".to_owned(), "\"".repeat(10_000), "🦀".repeat(10_000)] {
        let page = node::page(&node::renamed(crowd.clone(), &text));
        assert!(page.len() <= LARGEST_PAGE, "{} bytes", page.len());
        assert!(page.contains("more"));
    }
}

#[test]
fn an_empty_node_has_an_answer_on_every_surface() {
    let mut snapshot = node::snapshot();
    snapshot.sample.layers.clear();
    snapshot.sample.filesystems.clear();
    snapshot.assessment.layers.clear();
    snapshot.assessment.filesystems.clear();
    assert!(node::table(&snapshot, None).starts_with("Node ci-node-7\nNo layer found.\n"));
    assert!(node::json(&snapshot).contains("\"layers\": []"));
    let page = node::page(&snapshot);
    assert!(page.contains("No filesystem is watched: nothing is expected."));
}

#[test]
fn a_disk_that_cannot_be_measured_is_said_to_be_so_and_has_no_figure() {
    let mut snapshot = node::snapshot();
    for disk in &mut snapshot.sample.filesystems {
        disk.space = Reading::absent(AbsenceReason::TimedOut, "statfs /var/lib: no answer within 2s");
        disk.usage = Reading::not_read();
    }
    for assessment in &mut snapshot.assessment.filesystems {
        (assessment.kubelet_percent, assessment.df_percent, assessment.fill_rate) = (None, None, None);
    }
    for trigger in snapshot.assessment.layers.iter_mut().flat_map(|layer| &mut layer.triggers) {
        (trigger.headroom, trigger.forecast, trigger.action) = (None, None, None);
    }
    for images in snapshot.assessment.layers.iter_mut().filter_map(|layer| layer.images.as_mut()) {
        images.predictions.clear();
    }
    let table = node::table(&snapshot, None);
    assert!(table.contains("/var/lib (/dev/nvme0n1p1): could not be measured\n"), "{table}");
    assert!(table.contains("/var/lib statfs: timed_out: statfs /var/lib: no answer within 2s"), "{table}");
    assert!(!table.contains("GiB") && table.contains("unknown yet"), "{table}");
    let page = node::page(&snapshot);
    assert!(page.contains("Could not be measured: timed_out: statfs /var/lib"), "{page}");
    assert!(!page.contains("GiB"), "{page}");
}
