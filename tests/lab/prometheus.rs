//! Do promtool and a real Prometheus take what the agent exports, and the rules beside it?

use crate::http;
use crate::lab::Lab;
use crate::layers::complete;
use crate::scrape::Scrape;
use crate::tools::output_of;
use crate::wait::until;
use serde_json::{Value, json};
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn promtool_finds_nothing_against_the_metrics() {
    let lab = Lab::take();
    let (agent, _, _) = complete(&lab);
    let text = agent.metrics().expect("a scrape");
    if let Some(answer) = output_of("promtool", &["check", "metrics"], &text) {
        assert_eq!(answer, (true, String::new()));
    }
}

/// A Prometheus on the loopback interface; it ends with this value.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Prometheus {
    /// One that scrapes `target` every second and loads the rules as they are shipped.
    fn start(target: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts/highwater.rules.yaml");
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "rule_files": [rules],
            "scrape_configs": [{"job_name": "highwater", "honor_labels": true, "static_configs": [{"targets": [target]}]}],
        });
        std::fs::write(folder.path().join("prometheus.yml"), config.to_string()).expect("a new file");
        let log = File::create(folder.path().join("log")).expect("a new file");
        // Free a moment ago, which is as much as can be had: Prometheus does not say which port it took.
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port of the loopback");
        let process = Command::new("prometheus")
            .current_dir(folder.path())
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("Prometheus can be started");
        Self { process, address, folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("the log")
    }

    /// `data` of an answer of its API.
    fn api(&self, path: &str) -> Result<Value, String> {
        let text = http::get(self.address, &format!("/api/v1/{path}")).map_err(|e| format!("{e}\n{}", self.log()))?;
        let mut answer: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        assert_eq!((&answer["status"], &answer["warnings"]), (&json!("success"), &Value::Null), "{answer}");
        Ok(answer["data"].take())
    }

    /// The value of the only series of a query that needs no escapes.
    fn query(&self, query: &str) -> Result<f64, String> {
        let data = self.api(&format!("query?query={query}"))?;
        match data["result"].as_array().map(Vec::as_slice) {
            Some([one]) => Ok(one["value"][1].as_str().and_then(|text| text.parse().ok()).expect("a number")),
            _ => Err(format!("{query}: {data}")),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[test]
#[ignore = "needs root and a lab that is up: tests/lab/test"]
fn a_prometheus_scrapes_every_sample_and_evaluates_every_rule() {
    if output_of("prometheus", &["--version"], "").is_none() {
        return;
    }
    let lab = Lab::take();
    let (agent, _, _) = complete(&lab);
    let server = Prometheus::start(agent.address);
    let scrapes = "count_over_time(up[5m])";
    until("scrapes", || server.query(scrapes).and_then(|n| if n > 5.0 { Ok(()) } else { Err(format!("{n}")) }));

    let targets = server.api("targets").expect("targets");
    let active = targets["activeTargets"].as_array().expect("a list");
    assert_eq!(active.len(), 1, "{targets}");
    assert_eq!((&active[0]["health"], &active[0]["lastError"]), (&json!("up"), &json!("")), "{targets}");
    assert_eq!(targets["droppedTargets"].as_array().map(Vec::len), Some(0), "{targets}");

    // What it took is what it was given: nothing dropped, twice, or out of order, and no series beside those of a plain scrape.
    let scraped = server.query("scrape_samples_scraped").expect("a sample");
    assert_eq!(server.query("scrape_samples_post_metric_relabeling"), Ok(scraped));
    let own = Scrape::parse(&http::get(server.address, "/metrics").expect("its own metrics")).expect("text format");
    let refused: Vec<_> = ["duplicate_timestamp", "out_of_order", "out_of_bounds"]
        .map(|why| own.value(&format!("prometheus_target_scrapes_sample_{why}_total"), &[]))
        .into();
    assert_eq!(refused, [Some(0.0); 3]);
    assert_eq!(server.query("count(highwater_layer_info)"), Ok(5.0));
    let size = server.query("highwater_filesystem_size_bytes").expect("the disk");
    assert!((size - highwater::units::Bytes::new(lab.space().size).as_f64()).abs() < 1.0, "{size}");
    assert_eq!(server.query("min_over_time(up[5m])"), Ok(1.0), "no scrape failed");

    // The shipped interval is 30 s, so the first evaluation may be as far away.
    let rules = until("evaluation of every rule", || {
        let groups = server.api("rules")?;
        let groups = groups["groups"].as_array().cloned().unwrap_or_default();
        let rules: Vec<Value> =
            groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect();
        let waits = rules.is_empty() || rules.iter().any(|rule| rule["health"] == "unknown");
        if waits { Err(format!("{rules:?}")) } else { Ok(rules) }
    });
    assert!(rules.iter().filter(|rule| rule["type"] == "alerting").count() >= 3, "{rules:?}");
    for rule in &rules {
        assert_eq!((&rule["health"], rule.get("lastError")), (&json!("ok"), None), "{rule}");
    }
    // A first evaluation before the first scrape finds nothing; the next one must.
    until("the rules to find all layers", || match server.query("count(layer:highwater_layer_disk:info)")? {
        5.0 => Ok(()),
        other => Err(format!("{other} layers")),
    });

    let log = server.log();
    let complaints: Vec<&str> = log
        .lines()
        .filter(|line| ["level=warn", "level=error"].iter().any(|it| line.to_lowercase().contains(it)))
        .collect();
    assert!(log.contains("Server is ready to receive web requests"), "{log}");
    assert_eq!(complaints, Vec::<&str>::new(), "{log}");
}
