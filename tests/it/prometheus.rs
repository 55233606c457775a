//! Does a real Prometheus take every format without a word of complaint, and store the same from each?

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use crate::demo::{Demo, ask};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// What Prometheus 2.42 sends by itself, and what it would send if it could read text only.
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                           text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
const TEXT: &str = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// Stands between Prometheus and the agent: asks with another Accept header, and notes what is answered.
struct Proxy {
    address: String,
    content_types: Arc<Mutex<BTreeSet<String>>>,
}

impl Proxy {
    /// `None`: the header of Prometheus is passed on.
    fn start(agent: &str, accept: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let content_types = Arc::new(Mutex::new(BTreeSet::new()));
        let (agent, seen) = (agent.to_owned(), Arc::clone(&content_types));
        // Ends with the process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Some(content_type) = pass(client, &agent, accept) {
                    seen.lock().expect("no panic").insert(content_type);
                }
            }
        });
        Self { address, content_types }
    }
}

fn pass(mut client: TcpStream, agent: &str, accept: Option<&str>) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        request.extend(byte);
    }
    let request = String::from_utf8(request).ok()?;
    let own = header(&request, "accept")?;
    let accept = accept.unwrap_or(&own);
    let headers = format!("Accept: {accept}\r\nAccept-Encoding: gzip\r\n");
    let answer = ask(agent, "/metrics", &headers).ok()?;
    client.write_all(&answer).ok()?;
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    header(&String::from_utf8_lossy(&answer[..head]), "content-type")
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

struct Prometheus {
    child: Child,
    address: String,
    folder: TempDir,
}

impl Prometheus {
    /// `None` where it is not installed and CI does not ask for it.
    fn start(targets: &[(&str, &str)]) -> Option<Self> {
        let folder = TempDir::new().expect("a folder");
        let jobs: Vec<Value> = targets
            .iter()
            .map(|(name, target)| serde_json::json!({"job_name": name, "static_configs": [{"targets": [target]}]}))
            .collect();
        let configuration =
            serde_json::json!({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs});
        fs::write(folder.path().join("prometheus.yml"), configuration.to_string()).expect("a file");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        let log = File::create(folder.path().join("log")).expect("a file");
        let started = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={free}"))
            // With this it asks for protobuf first.
            .arg("--enable-feature=native-histograms")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn();
        match started {
            Ok(child) => Some(Self { child, address: free.to_string(), folder }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let in_ci = std::env::var("CI").as_deref() == Ok("true");
                assert!(!in_ci, "prometheus is not installed: tests/tools/install prometheus");
                None
            }
            Err(error) => panic!("prometheus: {error}"),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }

    /// The data of an answer of its API; `None` while it does not answer yet.
    fn api(&self, path: &str) -> Option<Value> {
        let answer = String::from_utf8(ask(&self.address, &format!("/api/v1/{path}"), "").ok()?).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str::<Value>(body).ok().map(|answer| answer["data"].clone())
    }

    /// The value of a series by job.
    fn by_job(&self, query: &str) -> BTreeMap<String, String> {
        let data = self.api(&format!("query?query={query}")).unwrap_or_default();
        let series = data["result"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        series.iter().map(|one| (text(&one["metric"]["job"]), text(&one["value"][1]))).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it ends");
    }
}

#[test]
fn prometheus_takes_every_format_and_stores_the_same_from_each() {
    // So slow that nothing changes meanwhile.
    let demo = Demo::start(&["--speed", "1"]);
    let proxies = [("protobuf first", None), ("openmetrics", Some(OPENMETRICS)), ("text", Some(TEXT))]
        .map(|(name, accept)| (name, Proxy::start(demo.address(), accept)));
    let targets: Vec<(&str, &str)> = proxies.iter().map(|(name, proxy)| (*name, proxy.address.as_str())).collect();
    let Some(prometheus) = Prometheus::start(&targets) else { return };

    let all = |values: &BTreeMap<String, String>| values.len() == proxies.len();
    // A busy machine may take long to start it; a limit of tries, not of time, would be as arbitrary.
    for _ in 0..600 {
        if all(&prometheus.by_job("count_over_time(up[1m])%3E2")) {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    let targets = prometheus.api("targets").expect("an answer")["activeTargets"].clone();
    for target in targets.as_array().expect("targets") {
        assert_eq!((&target["health"], &target["lastError"]), (&"up".into(), &"".into()), "{}", prometheus.log());
    }
    for query in [
        "scrape_samples_scraped",
        "scrape_samples_post_metric_relabeling",
        "count%20by(job)({__name__=~%22highwater_.%2B%22})",
        "highwater_filesystem_size_bytes",
        "count%20by(job)(highwater_layer_info==1)",
        "count%20by(job)(highwater_forecast_seconds)",
        "max%20by(job)(highwater_images)",
    ] {
        let values = prometheus.by_job(query);
        assert!(all(&values), "{query}: {values:?}\n{}", prometheus.log());
        let different: BTreeSet<&String> = values.values().collect();
        assert_eq!(different.len(), 1, "{query}: {values:?}");
    }
    let log = prometheus.log();
    let complaints: Vec<&str> =
        log.lines().filter(|line| line.contains("level=warn") || line.contains("level=error")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");

    let answered = |name: &str| {
        let (_, proxy) = proxies.iter().find(|(found, _)| *found == name).expect("a proxy");
        proxy.content_types.lock().expect("no panic").iter().cloned().collect::<Vec<_>>().join(", ")
    };
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    // A newer Prometheus names a scheme of escaping.
    assert!(answered("protobuf first").starts_with(openmetrics), "{}", answered("protobuf first"));
    assert_eq!(answered("openmetrics"), openmetrics);
    assert_eq!(answered("text"), "text/plain; version=0.0.4; charset=utf-8");
}
