//! What does a kubelet inside k3s run with? k3s and `rke2` start it with settings of their own and pass on
//! `--kubelet-arg`.
//!
//! k3s overwrites its own command line with `k3s server` or `k3s agent`, so that `--kubelet-arg` is usually visible
//! only in its configuration file. Since about 1.32 its own settings stand in a drop-in directory; before, they are
//! flags of its `pkg/daemons/agent` kubeletArgs. rke2 starts a kubelet process of its own, which is read like any
//! other.

use super::flags::Flags;
use crate::access::root::Root;
use crate::untrusted::Label;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where k3s keeps its data unless told otherwise.
const DATA_DIR: &str = "/var/lib/rancher/k3s";
const CONFIG_FILE: &str = "/etc/rancher/k3s/config.yaml";
const MAX_CONFIG_BYTES: usize = 1 << 20;
const MAX_ARGUMENTS: usize = 1_000;

/// Whether these are the arguments of k3s with a kubelet inside.
pub(super) fn is_k3s(argv: &[String]) -> bool {
    // The rewritten command line is one string, "/bin/k3s server".
    let mut words = argv.iter().flat_map(|argument| argument.split(' '));
    let program = words.next().and_then(|word| Path::new(word).file_name()).and_then(|name| name.to_str());
    matches!(program, Some("k3s" | "k3s-server" | "k3s-agent" | "rke2"))
        && (program != Some("k3s") || words.any(|word| matches!(word, "server" | "agent")))
}

/// The flags with which k3s starts its kubelet.
pub(super) fn flags(root: &Root, argv: &[String]) -> Flags {
    let mut problems = Vec::new();
    let file = root.read_file(Path::new(CONFIG_FILE), MAX_CONFIG_BYTES).ok();
    let settings = file.as_deref().map_or(Value::Null, |content| {
        super::file::document(content).unwrap_or_else(|error| {
            problems.push(super::file::located(&Label::new(CONFIG_FILE), &error.to_string()));
            Value::Null
        })
    });
    let on_command_line: Vec<String> = values_of(argv, "kubelet-arg");
    if on_command_line.is_empty() && argv.len() < 2 {
        problems.push(Label::new("k3s hides its command line: a --kubelet-arg given there is not known"));
    }
    let data_dir = values_of(argv, "data-dir").pop().or_else(|| strings(settings.get("data-dir")).pop());
    let data_dir = data_dir.unwrap_or_else(|| DATA_DIR.to_owned());
    // Arguments on the command line are appended to those of the file.
    let passed: Vec<String> = strings(settings.get("kubelet-arg")).into_iter().chain(on_command_line).collect();
    let mut flags = Flags::default();
    let drop_ins: PathBuf = [data_dir.as_str(), "agent/etc/kubelet.conf.d"].iter().collect();
    let own: &[(&str, &str)] = if root.exists(&drop_ins) {
        flags.config_dir = Some(drop_ins.to_string_lossy().into_owned());
        &[]
    } else {
        &[
            ("eviction-hard", "imagefs.available<5%,nodefs.available<5%"),
            ("eviction-minimum-reclaim", "imagefs.available=10%,nodefs.available=10%"),
        ]
    };
    let pairs: Vec<(&str, &str)> = passed.iter().map(|argument| split(argument)).collect();
    // An argument that is passed replaces the setting of k3s, unless its name ends in + or -, which add to it.
    for (name, value) in own {
        if !pairs.iter().any(|(passed, _)| passed == name) {
            flags.set(name, value);
        }
    }
    for (name, value) in &pairs {
        flags.set(name.trim_end_matches(['+', '-']), value);
    }
    flags.problems.append(&mut problems);
    flags
}

/// `flag=value`, with or without dashes in front; a flag alone is `true`.
fn split(argument: &str) -> (&str, &str) {
    let argument = argument.strip_prefix("--").unwrap_or(argument);
    argument.split_once('=').unwrap_or((argument, "true"))
}

/// Every value of a repeatable argument of k3s.
fn values_of(argv: &[String], name: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut arguments = argv.iter();
    while let Some(argument) = arguments.next() {
        let Some(body) = argument.strip_prefix("--") else { continue };
        if body == name {
            values.extend(arguments.next().cloned());
        } else if let Some(value) = body.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
            values.push(value.to_owned());
        }
        if values.len() == MAX_ARGUMENTS {
            break;
        }
    }
    values
}

/// A string or a list of them.
fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => {
            list.iter().take(MAX_ARGUMENTS).filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}
