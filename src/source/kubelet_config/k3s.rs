//! What does a kubelet inside k3s run with? k3s starts it with settings of its own and passes on `kubelet-arg`.
//!
//! Mirrors k3s `pkg/configfilearg/parser.go`: config.yaml, then every file of config.yaml.d in the order of their names (Rancher writes
//! 50-rancher.yaml, which is JSON); a later one replaces a key, `key+` adds to it; the command line comes last. k3s overwrites its
//! command line with `k3s server` or `k3s agent`, so that arguments given there are usually not visible. Since about 1.32 its own
//! settings stand in a drop-in directory; before, they are flags of its `pkg/daemons/agent` kubeletArgs. rke2 starts a kubelet process
//! of its own, which is read like any other.

use super::file::{self, label};
use super::flags::Flags;
use crate::access::root::Root;
use crate::sample::{Absence, AbsenceReason};
use crate::untrusted::Label;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where k3s keeps its data unless told otherwise.
const DATA_DIR: &str = "/var/lib/rancher/k3s";
const CONFIG_FILE: &str = "/etc/rancher/k3s/config.yaml";
const CONTAINERD: &str = "unix:///run/k3s/containerd/containerd.sock";
const CRI_DOCKERD: &str = "unix:///run/k3s/cri-dockerd/cri-dockerd.sock";
/// The copy that k3s makes of a file that is named by `kubelet-arg: config=FILE`, where it has a drop-in directory.
const COPY: &str = "10-cli-config.conf";
const MAX_CONFIG_BYTES: usize = 1 << 20;
const MAX_FILES: usize = 1_000;
const MAX_ARGUMENTS: usize = 1_000;

/// How k3s starts its kubelet.
#[derive(Debug, Default)]
pub(super) struct Started {
    pub(super) flags: Flags,
    /// A file that counts as one more drop-in.
    pub(super) drop_in: Option<String>,
    /// Whether it starts one at all: a server can go without.
    pub(super) runs: bool,
}

/// The settings of k3s itself: each key as a list of what was said, the last one last.
type Settings = BTreeMap<String, Vec<String>>;

/// The flags with which k3s starts its kubelet.
///
/// # Errors
/// A file of its configuration is there and cannot be read or understood: then nothing certain can be said.
pub(super) fn started(
    root: &Root,
    argv: &[String],
    environment: Option<&BTreeMap<String, String>>,
) -> Result<Started, Absence> {
    let variable = |name: &str| environment.and_then(|environment| environment.get(name)).cloned();
    let told = values_of(argv, &["config", "c"]).pop().or_else(|| variable("K3S_CONFIG_FILE"));
    let mut settings = files(root, Path::new(told.as_deref().unwrap_or(CONFIG_FILE)))?;
    for key in ["kubelet-arg", "data-dir", "docker", "disable-agent", "container-runtime-endpoint"] {
        let names: &[&str] = if key == "data-dir" { &["data-dir", "d"] } else { &[key] };
        settings.entry(key.to_owned()).or_default().extend(values_of(argv, names));
    }
    let last = |key: &str| settings.get(key).and_then(|values| values.last()).map(String::as_str);
    let is_on = |key: &str| last(key).is_some_and(|value| value == "true");
    let data_dir = last("data-dir").unwrap_or(DATA_DIR);
    let endpoint = match last("container-runtime-endpoint") {
        Some(external) => external,
        None if is_on("docker") => CRI_DOCKERD,
        None => CONTAINERD,
    };
    let mut started = Started { runs: !is_on("disable-agent"), ..Started::default() };
    let mut problems = Vec::new();
    if argv.len() < 2 {
        problems.push(Label::new("k3s hides its command line: a --kubelet-arg given there is not known"));
    }
    let flags = &mut started.flags;
    let drop_ins: PathBuf = [data_dir, "agent/etc/kubelet.conf.d"].iter().collect();
    let has_drop_ins = root.exists(&drop_ins);
    let mut own = vec![("container-runtime-endpoint", endpoint)];
    if has_drop_ins {
        flags.config_dir = Some(drop_ins.to_string_lossy().into_owned());
    } else {
        own.push(("eviction-hard", "imagefs.available<5%,nodefs.available<5%"));
        own.push(("eviction-minimum-reclaim", "imagefs.available=10%,nodefs.available=10%"));
    }
    let passed = settings.get("kubelet-arg").map(Vec::as_slice).unwrap_or_default();
    let pairs: Vec<(&str, &str)> = passed.iter().take(MAX_ARGUMENTS).map(|argument| split(argument)).collect();
    // An argument that is passed replaces the setting of k3s, unless its name ends in + or -, which add to it.
    for (name, value) in own {
        if !pairs.iter().any(|(passed, _)| *passed == name) {
            flags.set(name, value);
        }
    }
    for (name, value) in &pairs {
        match name.trim_end_matches(['+', '-']) {
            // Both are copied into the directory of drop-ins.
            "config" if has_drop_ins => {
                started.drop_in = (!root.exists(&drop_ins.join(COPY))).then(|| (*value).to_owned());
            }
            "config-dir" if has_drop_ins => {}
            name => flags.set(name, value),
        }
    }
    flags.problems.append(&mut problems);
    Ok(started)
}

/// What the configuration files say.
fn files(root: &Root, main: &Path) -> Result<Settings, Absence> {
    let directory = PathBuf::from(format!("{}.d", main.display()));
    let mut paths = vec![main.to_owned()];
    match root.list(&directory, MAX_FILES) {
        Ok(names) => paths.extend(names.iter().filter(|name| is_yaml(name)).map(|name| directory.join(name))),
        Err(error) if error.reason() == AbsenceReason::Gone => {}
        Err(error) => return Err(error.into()),
    }
    let mut settings = Settings::new();
    for path in paths {
        let content = match root.read_file(&path, MAX_CONFIG_BYTES) {
            Ok(content) => content,
            Err(error) if error.reason() == AbsenceReason::Gone => continue,
            Err(error) => return Err(error.into()),
        };
        let malformed = |text: &str| {
            let text = file::located(&label(&path), text);
            Absence::new(AbsenceReason::Malformed, text.as_str())
        };
        let fields = match file::document(&content) {
            Ok(Value::Object(fields)) => fields,
            // A file with nothing but comments.
            Ok(Value::Null) | Err(file::FileError::Empty | file::FileError::NotAMapping) => continue,
            Ok(_) => return Err(malformed("not a mapping")),
            Err(error) => return Err(malformed(&error.to_string())),
        };
        for (key, value) in &fields {
            match key.strip_suffix('+') {
                Some(key) => settings.entry(key.to_owned()).or_default().extend(texts(value)),
                None => drop(settings.insert(key.clone(), texts(value))),
            }
        }
    }
    Ok(settings)
}

fn is_yaml(name: &Path) -> bool {
    name.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// `flag=value`, with or without dashes in front; a flag alone is `true`.
fn split(argument: &str) -> (&str, &str) {
    let argument = argument.strip_prefix("--").unwrap_or(argument);
    argument.split_once('=').unwrap_or((argument, "true"))
}

/// Every value of a repeatable argument of k3s; a switch without a value is `true`.
fn values_of(argv: &[String], names: &[&str]) -> Vec<String> {
    let mut values = Vec::new();
    // A title that was written over the arguments is one string.
    let mut arguments = argv.iter().skip(1).peekable();
    while let Some(argument) = arguments.next() {
        let Some(body) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else { continue };
        match body.split_once('=') {
            Some((name, value)) if names.contains(&name) => values.push(value.to_owned()),
            None if names.contains(&body) => {
                let value = arguments.next_if(|next| !next.starts_with('-'));
                values.push(value.map_or_else(|| "true".to_owned(), Clone::clone));
            }
            _ => {}
        }
        if values.len() == MAX_ARGUMENTS {
            break;
        }
    }
    values
}

/// A scalar or a list of them, as texts.
fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    match value {
        Value::Array(list) => list.iter().take(MAX_ARGUMENTS).filter_map(text).collect(),
        other => text(other).into_iter().collect(),
    }
}
