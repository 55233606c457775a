//! May this part of the source use that one? Data flows one way, and a folder listing can only show it while imports obey.

use crate::modules::Graph;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What each part may use, beside itself: only parts above it. Why: a source that knows a threshold starts to decide; a renderer
/// that can read a disk will. Adding a word here is a decision: docs/architecture.md says what the parts are for.
const RULES: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("time", &[]),
    ("untrusted", &[]),
    ("error_chain", &[]),
    ("form", &["time", "units"]),
    ("layer", &["untrusted"]),
    ("sample", &["layer", "time", "units", "untrusted"]),
    ("model", &["sample", "time", "units", "untrusted"]),
    ("forecast", &["time", "units"]),
    ("assess", &["forecast", "layer", "model", "sample", "time", "units"]),
    ("verdict", &["form", "time"]),
    ("snapshot", &["assess", "form", "sample", "time", "units", "untrusted", "verdict"]),
    (
        "report",
        &[
            "assess",
            "forecast",
            "form",
            "layer",
            "model",
            "sample",
            "snapshot",
            "time",
            "units",
            "untrusted",
            "verdict",
        ],
    ),
    (
        "export",
        &[
            "assess",
            "forecast",
            "layer",
            "model",
            "report",
            "sample",
            "snapshot",
            "time",
            "units",
            "untrusted",
            "verdict",
        ],
    ),
    // Only the classes of absence: an error of the machine has to say which it is.
    ("access", &["sample", "time"]),
    ("discover", &["access", "sample", "time"]),
    ("source", &["access", "discover", "layer", "sample", "time", "units", "untrusted"]),
    ("demo", &["layer", "sample", "time", "units", "untrusted"]),
    ("config", &["time"]),
    ("web", &["config", "error_chain", "export", "report", "snapshot", "time", "units"]),
    ("cli", &["config", "time", "units"]),
    (
        "agent",
        &[
            "access",
            "assess",
            "config",
            "discover",
            "layer",
            "sample",
            "snapshot",
            "source",
            "time",
            "units",
            "untrusted",
            "verdict",
        ],
    ),
    (
        "command",
        &[
            "access",
            "agent",
            "assess",
            "cli",
            "config",
            "demo",
            "error_chain",
            "export",
            "forecast",
            "model",
            "sample",
            "report",
            "snapshot",
            "source",
            "time",
            "units",
            "untrusted",
            "verdict",
            "web",
        ],
    ),
];

/// Parts that take time as an argument and touch nothing.
const PURE: &[&str] = &[
    "units",
    "time",
    "untrusted",
    "layer",
    "sample",
    "model",
    "forecast",
    "assess",
    "snapshot",
    "verdict",
    "report",
    "form",
    "error_chain",
    "export",
    "demo",
];

fn source() -> Graph {
    Graph::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// The part that a module belongs to.
fn part(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

#[test]
fn every_part_uses_only_what_it_may() {
    let rules: BTreeMap<&str, &[&str]> = RULES.iter().copied().collect();
    let mut broken = Vec::new();
    for (module, uses) in source().uses.iter().filter(|(module, _)| !module.is_empty()) {
        let user = part(module);
        let Some(allowed) = rules.get(user) else {
            broken.push(format!("{module}: no rule for the part {user}"));
            continue;
        };
        for other in uses.iter().map(|other| part(other)).filter(|other| *other != user) {
            if !allowed.contains(&other) {
                broken.push(format!("{module}: {user} may not use {other}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_table_has_no_cycle() {
    let mut above = BTreeSet::new();
    for (part, allowed) in RULES {
        for other in *allowed {
            assert!(above.contains(other), "{part} may use {other}, which has to stand above it");
        }
        above.insert(part);
    }
}

#[test]
fn no_folder_has_a_cycle_of_files() {
    let cycles = source().cycles();
    assert!(cycles.is_empty(), "{}", cycles.join("\n"));
}

#[test]
fn pure_parts_have_no_clock_and_touch_nothing() {
    const FORBIDDEN: &[&str] = &[
        "std::fs",
        "std::net",
        "std::process",
        "std::thread",
        "std::env",
        "Instant",
        "SystemTime",
        "tokio",
        "nix",
        "rustix",
    ];
    let mut broken = Vec::new();
    for (module, paths) in source().paths.iter().filter(|(module, _)| PURE.contains(&part(module))) {
        let names = |path: &str, word: &str| format!("::{path}::").contains(&format!("::{word}::"));
        for path in paths.iter().filter(|path| FORBIDDEN.iter().any(|word| names(path, word))) {
            broken.push(format!("{module}: {} is pure and may not use {path}", part(module)));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_the_clock_reads_the_clock() {
    for (module, paths) in source().paths.iter().filter(|(module, _)| *module != "agent::clock") {
        let reads = paths.iter().find(|path| path.ends_with("SystemTime::now") || path.ends_with("Instant::now"));
        assert_eq!(reads, None, "{module}");
    }
}

#[test]
fn a_use_is_seen_wherever_it_stands() {
    let text = "#[cfg(test)] mod tests { use crate::never; }
        use crate::{model, forecast::History as Past};
        fn f(x: super::layer::Id) -> bool { matches!(x, crate::sample::Reading::Known(_)) || crate::time::is(x) }
        #[cfg(test)] fn g() { crate::never::f() }
        mod inner { use super::f; fn h(x: super::super::units::Bytes) {} }
        impl X { #[cfg(test)] fn h() { crate::never::f() } pub(super) fn i() { web::serve() } }";
    let other = ["never", "model", "forecast", "layer", "sample", "time", "units", "web"].map(|name| (name, ""));
    let root = "mod never; mod model; mod forecast; mod layer; mod sample; mod time; mod units; mod web; mod user;";
    let graph = Graph::of(&[&[("", root), ("user", text)][..], &other].concat());
    let uses: Vec<&str> = graph.uses["user"].iter().map(String::as_str).collect();
    assert_eq!(uses, ["forecast", "layer", "model", "sample", "time", "units"]);
}

#[test]
fn a_name_that_is_passed_on_counts_for_its_owner() {
    let root = ("", "mod a; mod b;");
    // b uses what a/mod.rs passes on from a/c.rs, and c uses b: no cycle in the folder a, but one at the root.
    let modules = [root, ("a", "mod c; pub use c::Name;"), ("a::c", "use crate::b::X;"), ("b", "use crate::a::Name;")];
    let graph = Graph::of(&modules);
    assert!(graph.uses["b"].contains("a::c"));
    assert_eq!(graph.cycles(), ["src/: a -> b, b -> a"]);
}

#[test]
fn a_file_that_uses_what_its_folder_defines_with_that_file_is_a_cycle() {
    let cyclic = [("", "mod a;"), ("a", "mod c; struct S; fn f() { c::g() }"), ("a::c", "use super::S;")];
    assert_eq!(Graph::of(&cyclic).cycles(), ["src/a: c -> mod, mod -> c"]);
    let passed_on = [("", "mod a;"), ("a", "mod c; mod d; pub use c::g;"), ("a::c", "use super::d::S;"), ("a::d", "")];
    assert!(Graph::of(&passed_on).cycles().is_empty());
}
