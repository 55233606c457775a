//! What does a client get, and what can a bad one take?

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use crate::node;
use flate2::read::GzDecoder;
use highwater::export::json;
use highwater::export::metrics::Budget;
use highwater::report::Question;
use highwater::time::Span;
use highwater::web::{AccessRules, Answers, Drained, Limits, PageOptions, Published, serve};
use std::future::pending;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Server {
    address: SocketAddr,
    published: Arc<Published>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
}

fn answers(published: Arc<Published>, telemetry_path: &str) -> Answers {
    Answers::new(published, node::now, telemetry_path.to_owned(), Budget::default(), PageOptions::default())
}

async fn start(limits: Limits) -> Server {
    let published = Arc::new(Published::new());
    let answers = answers(Arc::clone(&published), "/metrics");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(serve(
        vec![listener.into()],
        Arc::new(answers),
        Arc::new(AccessRules::open().unwrap()),
        limits,
        async {
            stopped.await.unwrap_or(());
        },
    ));
    Server { address, published, stop, ended }
}

/// A server with a snapshot.
async fn ready() -> Server {
    let server = start(Limits::default()).await;
    server.published.publish(Arc::new(node::snapshot()));
    server
}

impl Server {
    /// Sends bytes and reads all that comes until the server closes.
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Status line, headers in lower case, and body of one answer.
    async fn request(&self, method: &str, path: &str, headers: &str) -> (String, String, String) {
        let answer = self
            .ask(&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"))
            .await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let (status, headers) = head.split_once("\r\n").unwrap();
        (status.to_owned(), headers.to_ascii_lowercase(), body.to_owned())
    }

    /// Headers in lower case and the body as it is.
    async fn bytes(&self, path: &str, headers: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let body = answer.split_off(end + 4);
        (String::from_utf8(answer).unwrap().to_ascii_lowercase(), body)
    }

    async fn stop(self) -> Drained {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap()
    }
}

#[tokio::test]
async fn every_route_answers_with_its_type_and_the_security_headers() {
    let server = ready().await;
    for (path, content_type, begins) in [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/style.css", "text/css; charset=utf-8", "/* highwater"),
        ("/page.js", "text/javascript; charset=utf-8", "// Keeps"),
        ("/icon-critical.svg", "image/svg+xml", "<svg"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "# HELP highwater_"),
        ("/api/v1/snapshot", "application/json", "{\n  \"schema_version\": 1"),
        ("/-/healthy", "text/plain; charset=utf-8", "highwater is healthy"),
        ("/-/ready", "text/plain; charset=utf-8", "highwater is ready"),
        ("/?a=b", "text/html; charset=utf-8", "<!doctype html>"),
    ] {
        let (status, headers, body) = server.request("GET", path, "").await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{path}");
        assert!(headers.contains(&format!("content-type: {content_type}")), "{path}: {headers}");
        assert!(headers.contains("x-content-type-options: nosniff"), "{path}: {headers}");
        assert!(headers.contains("referrer-policy: no-referrer"), "{path}: {headers}");
        assert!(headers.contains("content-security-policy: default-src 'none'"), "{path}: {headers}");
        assert!(body.starts_with(begins), "{path}: {body}");
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let server = ready().await;
    for path in ["/", "/metrics", "/api/v1/snapshot", "/api/v1/explain", "/-/ready"] {
        let (get_status, get_headers, get_body) = server.request("GET", path, "").await;
        let (head_status, head_headers, head_body) = server.request("HEAD", path, "").await;
        let but_date = |headers: &str| {
            headers.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!((head_status, but_date(&head_headers)), (get_status, but_date(&get_headers)), "{path}");
        assert!(get_headers.contains(&format!("content-length: {}", get_body.len())), "{path}: {get_headers}");
        assert_eq!(head_body, "", "{path}");
    }
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let server = ready().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"] {
        let (status, headers, _) = server.request(method, "/metrics", "").await;
        assert_eq!(status, "HTTP/1.1 405 Method Not Allowed", "{method}");
        assert!(headers.contains("allow: get, head"), "{method}: {headers}");
    }
    for path in ["/metric", "/metrics/", "/../etc/passwd", "/%2e%2e/etc/passwd", "/-/quit", "//"] {
        let (status, headers, _) = server.request("GET", path, "").await;
        assert_eq!(status, "HTTP/1.1 404 Not Found", "{path}");
        assert!(headers.contains("content-security-policy: default-src 'none'"), "{path}: {headers}");
    }
}

#[tokio::test]
async fn before_the_first_sample_it_is_healthy_and_not_ready() {
    let server = start(Limits::default()).await;
    assert_eq!(server.request("GET", "/-/healthy", "").await.0, "HTTP/1.1 200 OK");
    assert_eq!(server.request("GET", "/-/ready", "").await.0, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(server.request("GET", "/api/v1/snapshot", "").await.0, "HTTP/1.1 503 Service Unavailable");
    assert!(server.request("GET", "/", "").await.2.contains("Nothing has been sampled yet"));
    assert!(server.request("GET", "/metrics", "").await.2.contains("highwater_build_info"));
    server.published.publish(Arc::new(node::snapshot()));
    assert_eq!(server.request("GET", "/-/ready", "").await.0, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn the_accept_headers_choose_format_and_packing() {
    let server = ready().await;
    let openmetrics = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n";
    let (_, headers, body) = server.request("GET", "/metrics", openmetrics).await;
    assert!(headers.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{headers}");
    assert!(headers.contains("vary: accept, accept-encoding"), "{headers}");
    assert!(!headers.contains("content-encoding"), "{headers}");
    assert!(body.ends_with("# EOF\n"));
    // Two headers of one name are one list.
    let twice = "Accept: text/plain;q=0.5\r\nAccept: application/openmetrics-text\r\n";
    assert_eq!(server.request("GET", "/metrics", twice).await.2, body);

    for accept in [openmetrics, ""] {
        let (headers, plain) = server.bytes("/metrics", accept).await;
        let (packed_headers, packed) = server.bytes("/metrics", &format!("{accept}Accept-Encoding: gzip\r\n")).await;
        assert!(headers.contains("vary: accept, accept-encoding"), "{headers}");
        assert!(packed_headers.contains("content-encoding: gzip"), "{packed_headers}");
        assert!(packed_headers.contains("vary: accept, accept-encoding"), "{packed_headers}");
        assert!(packed_headers.contains(&format!("content-length: {}", packed.len())), "{packed_headers}");
        assert!(packed.len() * 3 < plain.len(), "{} of {}", packed.len(), plain.len());
        let mut unpacked = Vec::new();
        GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
    }
}

#[tokio::test]
async fn what_is_long_is_packed_for_who_asks_for_it_on_every_path() {
    let server = ready().await;
    let unpacked = |packed: &[u8]| {
        let mut plain = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut plain).unwrap();
        plain
    };
    for path in ["/", "/style.css", "/page.js", "/api/v1/snapshot", "/api/v1/explain", "/api/v1/explain?layer=host"] {
        let (headers, plain) = server.bytes(path, "").await;
        assert!(headers.contains("vary: accept-encoding"), "{path}: {headers}");
        assert!(!headers.contains("content-encoding"), "{path}: {headers}");
        // Rendered and packed, then kept.
        for _ in 0..2 {
            let (headers, packed) = server.bytes(path, "Accept-Encoding: gzip, deflate, br\r\n").await;
            assert!(headers.contains("content-encoding: gzip"), "{path}: {headers}");
            assert!(headers.contains("vary: accept-encoding"), "{path}: {headers}");
            assert!(headers.contains(&format!("content-length: {}", packed.len())), "{path}: {headers}");
            assert!(packed.len() * 2 < plain.len(), "{path}: {} of {}", packed.len(), plain.len());
            assert_eq!(unpacked(&packed), plain, "{path}");
        }
    }
    for path in ["/-/healthy", "/icon-critical.svg", "/api/v1/explain?layer=nowhere", "/nowhere"] {
        let (headers, _) = server.bytes(path, "Accept-Encoding: gzip\r\n").await;
        assert!(!headers.contains("content-encoding"), "{path}: {headers}");
    }
}

#[tokio::test]
async fn packed_or_not_an_answer_has_one_tag() {
    let server = ready().await;
    for path in ["/api/v1/snapshot", "/api/v1/explain", "/api/v1/explain?layer=host"] {
        let tag = |headers: &str| headers.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
        let (_, plain, _) = server.request("GET", path, "").await;
        let (packed, _) = server.bytes(path, "Accept-Encoding: gzip\r\n").await;
        assert_eq!(tag(&plain), tag(&packed), "{path}");
        let known = format!("Accept-Encoding: gzip\r\nIf-None-Match: {}\r\n", tag(&packed).replace("w/", "W/"));
        let (status, headers, body) = server.request("GET", path, &known).await;
        assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 304 Not Modified", ""), "{path}");
        assert!(headers.contains("vary: accept-encoding") && !headers.contains("content-encoding"), "{headers}");
        assert_eq!(tag(&headers), tag(&packed), "{path}");
    }
}

#[tokio::test]
async fn a_scrape_is_of_the_newest_snapshot_and_of_this_second() {
    let server = ready().await;
    let first = server.request("GET", "/metrics", "").await.2;
    assert_eq!(server.request("GET", "/metrics", "").await.2, first);
    let mut next = node::snapshot();
    next.sample.at = next.sample.at + Span::from_secs(1);
    next.sample.layers.pop();
    server.published.publish(Arc::new(next));
    let second = server.request("GET", "/metrics", "").await.2;
    assert!(second.len() < first.len() && !second.is_empty());
}

#[tokio::test]
async fn what_is_kept_of_one_sample_is_not_shown_of_the_next() {
    let server = ready().await;
    for path in ["/", "/api/v1/snapshot", "/api/v1/explain", "/api/v1/explain?layer=host"] {
        for headers in ["", "Accept-Encoding: gzip\r\n"] {
            server.published.publish(Arc::new(node::snapshot()));
            let first = server.bytes(path, headers).await.1;
            assert_eq!(server.bytes(path, headers).await.1, first, "{path}");
            let mut next = node::snapshot();
            next.sample.at = next.sample.at + Span::from_secs(1);
            server.published.publish(Arc::new(next));
            assert_ne!(server.bytes(path, headers).await.1, first, "{path}");
        }
    }
}

#[tokio::test]
async fn a_client_that_has_the_sample_already_is_told_so() {
    let server = ready().await;
    let (_, headers, _) = server.request("GET", "/api/v1/snapshot", "").await;
    let tag = "w/\"1795506354000000-fresh\"";
    assert!(headers.contains(&format!("etag: {tag}")), "{headers}");
    let known = "If-None-Match: \"x\", W/\"1795506354000000-fresh\"\r\n";
    let (status, _, body) = server.request("GET", "/api/v1/snapshot", known).await;
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 304 Not Modified", ""));
    let (status, ..) = server.request("GET", "/api/v1/snapshot", "If-None-Match: W/\"1\"\r\n").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn explain_answers_for_all_layers_or_one_and_says_what_is_wrong_with_a_question() {
    let server = ready().await;
    let (status, headers, body) = server.request("GET", "/api/v1/explain?layer=capd-worker-old", "").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(headers.contains("content-type: application/json"), "{headers}");
    let question = Question { layer: Some("capd-worker-old"), written: None };
    assert_eq!(body, json::line(&node::explain(&node::snapshot(), question).unwrap()));
    let known = "If-None-Match: W/\"1795506354000000-fresh\"\r\n";
    let (status, _, body) = server.request("GET", "/api/v1/explain?layer=capd-worker-old", known).await;
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 304 Not Modified", ""));

    let (_, _, body) = server.request("GET", "/api/v1/explain?layer=worker-old&if_write=20GiB", "").await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["if_written_bytes"], 20_u64 << 30);
    assert_eq!(body["layers"][0]["triggers"][0]["crossed"], true);
    let (_, _, body) = server.request("GET", "/api/v1/explain", "").await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["layers"].as_array().unwrap().len(), 3, "every layer with a kubelet");

    for (query, code, says) in [
        ("layer=nowhere", "404 Not Found", "no layer is called \"nowhere\"; the layers are: host, "),
        ("layer=", "400 Bad Request", "more than one layer ends in \"\""),
        ("if_write=much", "400 Bad Request", "if_write: \"much\" is no size"),
        ("if_write=20000PiB", "400 Bad Request", "if_write: \"20000PiB\" is more than 18446744073709551615 bytes"),
        ("layers=host", "400 Bad Request", "there is no parameter \"layers\"; there are: layer, if_write"),
    ] {
        // A layer that is not there is not "known already".
        let (status, headers, body) = server.request("GET", &format!("/api/v1/explain?{query}"), known).await;
        assert_eq!(status, format!("HTTP/1.1 {code}"), "{query}");
        assert!(headers.contains("content-type: application/json"), "{query}: {headers}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(body["error"].as_str().unwrap().starts_with(says), "{query}: {body}");
        assert_eq!(body["schema_version"], 1, "{query}");
    }
    let empty = start(Limits::default()).await;
    assert_eq!(empty.request("GET", "/api/v1/explain", "").await.0, "HTTP/1.1 503 Service Unavailable");
}

#[tokio::test]
async fn a_request_without_a_host_or_with_two_is_refused() {
    let server = ready().await;
    let hosts = |hosts: &str| format!("GET /metrics HTTP/1.1\r\nConnection: close\r\n{hosts}\r\n");
    for wrong in ["", "Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host:\r\n"] {
        let answer = server.ask(&hosts(wrong)).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("exactly one Host header"), "{wrong}: {answer}");
    }
    assert!(server.ask(&hosts("Host: a\r\n")).await.starts_with("HTTP/1.1 200 "));
    assert!(server.ask("GET / HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200 "));
}

#[tokio::test]
async fn under_a_foreign_name_only_metrics_and_probes_are_answered() {
    let server = ready().await;
    let ask = async |path: &str, host: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        server.ask(&request).await
    };
    for path in ["/metrics", "/-/healthy", "/-/ready"] {
        assert!(ask(path, "highwater.monitoring.svc:9469").await.starts_with("HTTP/1.1 200 "), "{path}");
    }
    for path in ["/", "/page.js", "/api/v1/snapshot", "/api/v1/explain?layer=host", "/nothing"] {
        for host in ["evil.example:9469", "127.0.0.1.evil.example", "node-1"] {
            let answer = ask(path, host).await;
            assert!(answer.starts_with("HTTP/1.1 403 "), "{path} {host}: {answer}");
            assert!(answer.contains("allow the name by --web.allowed-host"), "{answer}");
            assert_eq!(
                answer.contains("\r\ncontent-type: application/json\r\n"),
                path.starts_with("/api/"),
                "{answer}"
            );
        }
    }
    for host in ["127.0.0.1:9469", "10.1.2.3:9469", "[2001:db8::1]:9469", "localhost", "highwater.localhost:1"] {
        assert!(ask("/api/v1/snapshot", host).await.starts_with("HTTP/1.1 200 "), "{host}");
    }
}

#[tokio::test]
async fn one_connection_carries_several_requests() {
    let server = ready().await;
    let request = "GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let last = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = server.ask(&[request, request, last].concat()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3);
}

#[tokio::test]
async fn a_header_that_is_too_long_is_refused() {
    let server = ready().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(17 << 10));
    // The server may close before all of it is sent.
    stream.write_all(request.as_bytes()).await.unwrap_or(());
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 431");
}

#[tokio::test]
async fn a_client_that_sends_half_a_header_is_let_go() {
    let limits = Limits { header_timeout: Span::from_millis(50), ..Limits::default() };
    let server = start(limits).await;
    // `ask` returns only because the server closes.
    assert_eq!(server.ask("GET / HTTP/1.1\r\nHo").await, "");
    assert_eq!(server.ask("").await, "");
}

#[tokio::test]
async fn a_client_that_is_silent_after_an_answer_is_let_go() {
    let limits = Limits { idle_timeout: Span::from_millis(50), ..Limits::default() };
    let server = start(limits).await;
    let answer = server.ask("GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_client_that_never_reads_is_let_go() {
    let limits = Limits { write_timeout: Span::from_millis(50), ..Limits::default() };
    let server = start(limits).await;
    server.published.publish(Arc::new(node::snapshot()));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    // Ends once the socket's buffers are full in both directions and the server has closed.
    while stream.write_all(request.as_bytes()).await.is_ok() {}
    assert_eq!(server.stop().await, Drained::Complete);
}

#[tokio::test]
async fn with_all_places_taken_by_silent_clients_one_that_asks_is_served() {
    let limits = Limits { connections: 8, header_timeout: Span::from_secs(3_600), ..Limits::default() };
    let server = start(limits).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"G").await.unwrap();
        silent.push(stream);
    }
    assert_eq!(server.request("GET", "/-/healthy", "").await.0, "HTTP/1.1 200 OK");
    drop(silent);
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let server = ready().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut start = [0; 15];
    idle.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    assert_eq!(server.stop().await, Drained::Complete);
}

#[tokio::test]
async fn a_request_that_is_never_finished_ends_with_the_time_limit() {
    let limits = Limits { drain_timeout: Span::from_millis(50), ..Limits::default() };
    let server = start(limits).await;
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"GET / HT").await.unwrap();
    // Answered only after the half request has been accepted, since both go through one queue.
    assert_eq!(server.request("GET", "/-/healthy", "").await.0, "HTTP/1.1 200 OK");
    assert_eq!(server.stop().await, Drained::TimedOut);
    drop(half);
}

#[tokio::test]
async fn several_addresses_are_served_at_once() {
    let answers = answers(Arc::default(), "/m");
    let mut addresses = Vec::new();
    let mut listeners = Vec::new();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        // A machine without IPv6 has one of them.
        if let Ok(listener) = TcpListener::bind(address).await {
            addresses.push(listener.local_addr().unwrap());
            listeners.push(listener.into());
        }
    }
    let limits = Limits { connections: 1, ..Limits::default() };
    tokio::spawn(serve(listeners, Arc::new(answers), Arc::new(AccessRules::open().unwrap()), limits, pending()));
    for address in addresses {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /m HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.0 200 OK") && answer.contains("highwater_build_info"), "{answer}");
    }
}
