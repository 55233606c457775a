//! May this part of the source use that one? Data flows one way, and a folder listing can only show it while imports obey.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each part may use, beside itself. Why: a source that knows a threshold starts to decide; a renderer that can read a
/// disk will. Adding a word here is a decision: docs/architecture.md says what the parts are for.
const RULES: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("time", &[]),
    ("untrusted", &[]),
    ("error_chain", &[]),
    ("form", &["time", "units"]),
    ("layer", &["untrusted"]),
    ("sample", &["layer", "time", "units", "untrusted"]),
    ("model", &["layer", "sample", "time", "units", "untrusted"]),
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
    ("access", &["sample", "time", "units", "untrusted"]),
    ("discover", &["access", "layer", "sample", "time", "untrusted"]),
    ("source", &["access", "discover", "layer", "sample", "time", "units", "untrusted"]),
    ("demo", &["layer", "sample", "time", "units", "untrusted"]),
    ("config", &["time"]),
    ("web", &["config", "error_chain", "export", "report", "snapshot", "time", "units"]),
    ("cli", &["command", "config", "time", "units"]),
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

fn source_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Every source file with the part it belongs to and its text without tests and comments.
fn sources() -> Vec<(PathBuf, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    source_files(&root, &mut files);
    files
        .into_iter()
        .filter(|path| !path.to_string_lossy().ends_with("tests.rs"))
        .map(|path| {
            let relative = path.strip_prefix(&root).unwrap().to_owned();
            let part = relative.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let code: String =
                code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            (relative, part, code)
        })
        .collect()
}

/// The parts that a text names after `crate::`, single or in braces.
fn used_parts(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut parts = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => parts.extend(list.split('}').next().unwrap().split(',').map(|item| word(item.trim()))),
            None => parts.push(word(rest)),
        }
    }
    parts
}

#[test]
fn every_part_uses_only_what_it_may() {
    let rules: BTreeMap<&str, &[&str]> = RULES.iter().copied().collect();
    let mut broken = Vec::new();
    let mut seen = 0;
    for (path, part, code) in sources().into_iter().filter(|(_, part, _)| part != "lib" && part != "main") {
        let Some(allowed) = rules.get(part.as_str()) else {
            broken.push(format!("{}: no rule for the part {part}", path.display()));
            continue;
        };
        for used in used_parts(&code) {
            seen += 1;
            if used != part && !allowed.contains(&used.as_str()) {
                broken.push(format!("{}: {part} may not use {used}", path.display()));
            }
        }
    }
    assert!(seen > 100, "the test reads imports: {seen}");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
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
        "nix::",
        "static mut",
    ];
    let mut broken = Vec::new();
    for (path, part, code) in sources().into_iter().filter(|(_, part, _)| PURE.contains(&part.as_str())) {
        for word in FORBIDDEN.iter().filter(|word| code.contains(**word)) {
            broken.push(format!("{}: {part} is pure and may not use {word}", path.display()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_the_clock_reads_the_clock() {
    for (path, _, code) in sources() {
        if path != Path::new("agent/clock.rs") {
            assert!(!code.contains("SystemTime::now") && !code.contains("Instant::now"), "{}", path.display());
        }
    }
}

#[test]
fn imports_in_braces_and_in_expressions_are_seen() {
    assert_eq!(
        used_parts("use crate::{model, forecast::History};\ncrate::sample::Reading"),
        ["model", "forecast", "sample"]
    );
}
