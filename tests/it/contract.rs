//! Do the documents and the metrics agree? docs/metrics.md is what the catalogue says, and alerts, dashboards and chart name only
//! metrics that exist.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use crate::node;
use highwater::export::catalogue::{Kind, Name, Scope};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const REFRESH: &str = "UPDATE_GOLDEN=1 cargo test --test it contract";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn docs_metrics_md_is_what_the_catalogue_says() {
    let path = root().join("docs/metrics.md");
    let wanted = document();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &wanted).expect("docs/metrics.md can be written");
    }
    let found = text_of(&path);
    assert!(found == wanted, "docs/metrics.md is stale; refresh it with: {REFRESH}");
}

#[test]
fn alerts_dashboards_and_chart_name_only_metrics_that_exist() {
    let known: BTreeSet<String> = Name::ALL.iter().map(|name| name.metric().sample_name()).collect();
    let mut unknown = BTreeSet::new();
    for folder in ["alerts", "dashboards", "helm"] {
        for file in files_below(&root().join(folder)) {
            let text = text_of(&file);
            let names = metrics_in(&text).into_iter().filter(|name| !known.contains(*name));
            unknown.extend(names.map(|name| format!("{}: {name}", file.display())));
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn docs_json_md_names_every_field() {
    let json = node::json(&node::snapshot());
    let document = text_of(&root().join("docs/json.md"));
    let mut fields = BTreeSet::new();
    fields_of(&serde_json::from_str(&json).expect("valid JSON"), &mut fields);
    let missing: Vec<_> = fields.iter().filter(|field| !document.contains(&format!("`{field}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(fields.len() > 80, "the fixed node has nearly every field: {}", fields.len());
}

fn fields_of(value: &serde_json::Value, fields: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (field, value) in object {
                fields.insert(field.clone());
                fields_of(value, fields);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| fields_of(item, fields)),
        _ => {}
    }
}

#[test]
fn names_of_recording_rules_are_no_metrics_of_ours() {
    let text =
        "max(highwater_layer_info) by (x) * layer:highwater_layer_disk:info + my_highwater_thing + highwater_a:b";
    assert_eq!(metrics_in(text), ["highwater_layer_info"]);
}

/// Every name that begins with `highwater_` and is not part of a longer one.
fn metrics_in(text: &str) -> Vec<&str> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    text.split(|c: char| !in_name(c)).filter(|word| word.starts_with("highwater_") && !word.contains(':')).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    // A folder that is not there yet names nothing.
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json", "tpl"].iter().any(|it| extension == *it))
        {
            files.push(path);
        }
    }
    files
}

#[expect(clippy::disallowed_methods, reason = "files of this repository")]
fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}; refresh it with: {REFRESH}", path.display()))
}

fn document() -> String {
    let mut text = format!("<!-- Made by `{REFRESH}` from src/export/catalogue.rs. Do not edit. -->\n{INTRODUCTION}");
    for (scope, heading) in [
        (Scope::Filesystem, "For each filesystem"),
        (Scope::Layer, "For each layer"),
        (Scope::Pod, "For each test pod"),
        (Scope::Agent, "Of the agent itself"),
    ] {
        write!(text, "\n## {heading}\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n")
            .expect("strings grow");
        for name in Name::ALL {
            let metric = name.metric();
            if metric.scope == scope {
                let kind = if metric.kind == Kind::Info { "info (gauge)" } else { metric.kind.as_str() };
                let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
                let (name, help) = (metric.sample_name(), metric.help);
                writeln!(text, "| `{name}` | {kind} | {} | {help} |", labels.join(", ")).expect("strings grow");
            }
        }
    }
    text.push_str(LABELS);
    text
}

const INTRODUCTION: &str = "# Metrics

`/metrics` answers in the format that the Accept header asks for, by its quality values: OpenMetrics 1.0, Prometheus text 0.0.4 (also
called 1.0.0), and in text 0.0.4 where nothing fits. Protobuf, which only native histograms need, is not spoken. All names are
legacy names, so that every `escaping=` that is asked for is fulfilled. Compressed with gzip where Accept-Encoding asks for it. The samples
are the same in both formats; the OpenMetrics families carry their unit.

- No `_created` samples are written: every counter starts with the agent, whose start is `process_start_time_seconds`, and Prometheus
  would store each as one more series.
- What is not known has no series: a source that cannot be read takes what depends on it away and sets
  `highwater_source_up` to 0. A layer that is gone is gone at the next scrape.
- If the agent has not sampled for ten of its intervals, and for at least a minute, the scrape has only
  `highwater_source_up` (0), `highwater_source_age_seconds` and what concerns the agent.
- Two filesystems of the same device and mountpoint carry their identity in `mountpoint`; a second layer of the same name
  ends in `#2`.
- At most 20 series for each filesystem, 80 for each layer, 5,000 in all (`web.max_series` in the configuration file). Over the total, whole layers are left out, the
  least urgent first, and `highwater_series_dropped` counts their series.
- `highwater_forecast_seconds` is of type `unknown` (`untyped`): a gauge must not have the label `quantile`, and a summary
  would claim to be of observations. It is used like a gauge.
";

const LABELS: &str = "
## Labels

| label | values |
|---|---|
| `device`, `mountpoint` | the mount source, and where the outermost layer that sees it has it mounted |
| `layer` | path-like: `host`, `host/<namespace>/<pod>`, `host/<namespace>/<pod>/<container>` |
| `kind` | `host`, `dind`, `capd_node`, `kind_node`, `k3d_node`, `node_container` |
| `source` | `statfs`, `kubelet_config`, `cri`, `docker` |
| `trigger` | `image_gc`, `image_eviction`, `pod_eviction`, `inode_eviction`, `disk_full` |
| `signal` | the kubelet's names: `nodefs.available`, `nodefs.inodesFree`, `imagefs.available`, `imagefs.inodesFree` |
| `quantile` | `0.1`, `0.5`, `0.9` |
| `horizon` | `10m`, `30m`, `1h`, `6h` |
| `outcome` | `hit`, `missed`, `false_alarm` |
| `component` | `store`, `kubelet`, `logs`, `volumes`; `other`: what no layer claims, counted for the outermost layer |
| `collector` | `discover`, `statfs`, `kubelet_config`, `runtime`, `usage` |

Labels without a value are left out. Text from a container is printable and at most 253 characters long.
";
