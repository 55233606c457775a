//! How do `check` and `explain` ask an agent that speaks TLS, wants a certificate or a password? A real agent, certificates made here.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use crate::certificates::{Authority, Pair, alice};
use crate::demo::Demo;
use crate::tools::output_of;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A demonstration that serves with a web configuration, and a folder for files of both sides.
struct Agent {
    folder: TempDir,
    demo: Demo,
    port: String,
}

const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

impl Agent {
    /// One that has this certificate; `ca.crt` holds the authority's.
    fn start(authority: &Authority, certificate: &Pair, config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
        write("server.crt", &certificate.certificate);
        write("server.key", &certificate.key);
        write("ca.crt", &authority.0.pem());
        write("other.crt", &Authority::new().0.pem());
        write("web.yml", config);
        let file = folder.path().join("web.yml");
        let demo = Demo::start(&["--speed", "1", "--web.config.file", file.to_str().expect("UTF-8")]);
        let port = demo.url.rsplit_once(':').expect("a port").1.to_owned();
        Self { folder, demo, port }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// `check` with this as the configuration file; of the system only `other.crt` is trusted. Its code, and what it says in the end.
    fn check(&self, url: &str, config: &str) -> (Option<i32>, String) {
        fs::write(self.path("agent.yml"), config).expect("written");
        self.run(&["check", "--agent", url, "--agent.config.file", &self.path("agent.yml")], "other.crt")
    }

    fn run(&self, arguments: &[&str], trusted: &str) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_highwater"))
            .args(arguments)
            .env("SSL_CERT_FILE", self.path(trusted))
            .env_remove("SSL_CERT_DIR")
            .output()
            .expect("it runs");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
        for secret in ["right", "wrong", "s3cret"] {
            assert!(!text.contains(secret), "{text}");
        }
        (output.status.code(), text.replace(self.folder.path().to_str().expect("UTF-8"), "FOLDER"))
    }
}

/// Whether the answer came from the agent.
fn is_answer((code, text): &(Option<i32>, String), url: &str) -> bool {
    code.is_some_and(|code| code <= 2) && text.contains(&format!("From the agent at {url}: sampled "))
}

fn no_tls(url: &str, reason: &str) -> (Option<i32>, String) {
    (Some(3), format!("highwater: no TLS with the agent at {url}: {reason}\n"))
}

#[test]
fn an_agent_is_asked_over_tls_when_it_is_trusted_and_has_the_name() {
    let authority = Authority::new();
    let agent = Agent::start(&authority, &authority.sign("localhost"), TLS);
    let url = format!("https://localhost:{}", agent.port);
    let answer = agent.check(&url, "tls_config: {ca_file: ca.crt}");
    assert!(is_answer(&answer, &url), "{answer:?}");
    let file = agent.path("agent.yml");
    let arguments = ["explain", "capd-old-worker", "--agent", &url, "--agent.config.file", &file];
    let (code, text) = agent.run(&arguments, "other.crt");
    assert!(code == Some(0) && text.contains("From the agent at https://"), "{text}");
    // Whom the system trusts is trusted where the file does not say otherwise.
    let answer = agent.run(&["check", "--agent", &url], "ca.crt");
    assert!(is_answer(&answer, &url), "{answer:?}");

    let untrusted = no_tls(
        &url,
        "its certificate is not trusted; name its CA, or itself, in tls_config.ca_file of --agent.config.file",
    );
    assert_eq!(agent.run(&["check", "--agent", &url], "other.crt"), untrusted);
    assert_eq!(agent.check(&url, "tls_config: {ca_file: other.crt}"), untrusted);
    let answer = agent.check(&url, "tls_config: {insecure_skip_verify: true}");
    assert!(is_answer(&answer, &url), "{answer:?}");

    let by_address = format!("https://127.0.0.1:{}", agent.port);
    let reason = "its certificate is of localhost, not of 127.0.0.1; ask it by that name, or give the name in \
                  tls_config.server_name of --agent.config.file";
    assert_eq!(agent.check(&by_address, "tls_config: {ca_file: ca.crt}"), no_tls(&by_address, reason));
    let answer = agent.check(&by_address, "tls_config: {ca_file: ca.crt, server_name: localhost}");
    assert!(is_answer(&answer, &by_address), "{answer:?}");

    let in_the_clear = format!("http://127.0.0.1:{}", agent.port);
    let (code, text) = agent.check(&in_the_clear, "");
    assert!(code == Some(3) && text.contains(" failed; if it speaks TLS, write https://: "), "{text}");
}

#[test]
fn a_certificate_may_be_of_an_address_and_not_expired() {
    let authority = Authority::new();
    for (year, expired) in [(2100, false), (2001, true)] {
        let agent = Agent::start(&authority, &authority.sign_until("127.0.0.1", year), TLS);
        let url = format!("https://127.0.0.1:{}", agent.port);
        let answer = agent.check(&url, "tls_config: {ca_file: ca.crt, min_version: TLS13}");
        if expired {
            let reason = "its certificate has expired; renew it there, or set the clock here";
            assert_eq!(answer, no_tls(&url, reason));
        } else {
            assert!(is_answer(&answer, &url), "{answer:?}");
        }
    }
}

#[test]
fn an_agent_that_wants_a_certificate_is_shown_one() {
    let authority = Authority::new();
    let mutual = "  client_ca_file: ca.crt\n  client_auth_type: RequireAndVerifyClientCert\n";
    let agent = Agent::start(&authority, &authority.sign("localhost"), &format!("{TLS}{mutual}{}", alice(4)));
    for (name, pair) in [("ours", authority.sign("check")), ("strange", Authority::new().sign("check"))] {
        fs::write(agent.path(&format!("{name}.crt")), pair.certificate).expect("written");
        fs::write(agent.path(&format!("{name}.key")), pair.key).expect("written");
    }
    let url = format!("https://localhost:{}", agent.port);
    for version in ["TLS12", "TLS13"] {
        let check = |identity: &str| {
            let tls = format!("tls_config: {{ca_file: ca.crt, max_version: {version}{identity}}}");
            let config = format!("basic_auth: {{username: alice, password: right}}\n{tls}");
            agent.check(&url, &config)
        };
        let answer = check(", cert_file: ours.crt, key_file: ours.key");
        assert!(is_answer(&answer, &url), "{version}: {answer:?}");
        let (code, text) = check("");
        let remedy = "; it asks for a client certificate: tls_config.cert_file and key_file of --agent.config.file";
        assert!(code == Some(3) && text.contains(remedy), "{version}: {text}");
        let (code, text) = check(", cert_file: strange.crt, key_file: strange.key");
        let remedy = "; it may not accept the client certificate of --agent.config.file";
        assert!(code == Some(3) && text.contains(remedy), "{version}: {text}");
    }
    let (code, text) = agent.check(&url, "tls_config: {ca_file: ca.crt, cert_file: ours.crt, key_file: strange.key}");
    let says =
        "highwater: the client certificate in FOLDER/ours.crt cannot be used with the key in FOLDER/strange.key: ";
    assert!(code == Some(4) && text.starts_with(says), "{text}");
}

#[test]
fn an_agent_with_users_is_given_a_name_and_a_password() {
    let authority = Authority::new();
    // Without TLS: the configuration of a client may well name a CA for other agents.
    let agent = Agent::start(&authority, &authority.sign("localhost"), &alice(4));
    let url = agent.demo.url.clone();
    let refused =
        |reason: &str| (Some(3), format!("highwater: the agent at {url} answers 401 Unauthorized: {reason}\n"));
    let wants = refused("it wants a user and a password: basic_auth in --agent.config.file");
    assert_eq!(agent.check(&url, "tls_config: {ca_file: ca.crt}"), wants);
    let answer = agent.check(&url, "basic_auth: {username: alice, password: right}");
    assert!(is_answer(&answer, &url), "{answer:?}");
    fs::write(agent.path("password"), "right\n").expect("written");
    let from_file = "basic_auth: {username: alice, password_file: password}";
    let answer = agent.check(&url, from_file);
    assert!(is_answer(&answer, &url), "{answer:?}");
    fs::write(agent.path("password"), "wrong\n").expect("written");
    assert_eq!(agent.check(&url, from_file), refused("it does not accept the login of --agent.config.file"));

    for (config, says) in [
        ("basic_auth: {username: alice, passwort: s3cret}", "FOLDER/agent.yml:1:31: "),
        (
            "basic_auth: {username: alice, password: s3cret, password_file: password}",
            "FOLDER/agent.yml:1:64: password and ",
        ),
        ("basic_auth: {username: alice, password_file: none}", "cannot read the password in FOLDER/none: No such file"),
    ] {
        let (code, text) = agent.check(&url, config);
        assert!(code == Some(4) && text.starts_with(&format!("highwater: {says}")), "{text}");
    }
    let file = agent.path("agent.yml");
    let (code, _) = agent.run(&["explain", "--agent", &url, "--agent.config.file", &file], "other.crt");
    assert_eq!(code, Some(2), "a mistake in the file");
    let (code, text) = agent.run(&["explain", "--agent", "none", "--agent.config.file", &file], "other.crt");
    assert!(code == Some(2) && text.contains("--agent none asks nobody"), "nobody would read it: {text}");
    let (code, text) = agent.run(&["check", "--agent.config.file", &file], "other.crt");
    assert!(code == Some(4) && text.contains("name it, as --agent https://"), "whom to ask has to be said: {text}");
}

#[test]
fn what_is_renewed_is_read_again_for_each_question() {
    let authority = Authority::new();
    let agent = Agent::start(&authority, &authority.sign("localhost"), &alice(4));
    fs::write(agent.path("agent.yml"), "basic_auth: {username: alice, password_file: password}").expect("written");
    fs::write(agent.path("password"), "right").expect("written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["check", "--watch=0.5", "--agent", &agent.demo.url, "--agent.config.file", &agent.path("agent.yml")])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("From the agent at ")));
    fs::write(agent.path("password"), "wrong").expect("written");
    assert!(lines.any(|line| line.ends_with("it does not accept the login of --agent.config.file")));
    fs::write(agent.path("password"), "right").expect("written");
    // A line that follows the verdict is the problem, or the empty one before the next table.
    let mut verdict = false;
    let mended = lines.any(|line| {
        let after = verdict;
        verdict = ["OK", "WARNING", "CRITICAL", "UNKNOWN"].contains(&line.as_str());
        after && !line.starts_with("highwater: ")
    });
    child.kill().and_then(|()| child.wait()).expect("it ends");
    assert!(mended);
}

#[test]
fn a_proxy_is_given_the_token_of_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("token"), "abc.def\n").expect("written");
    let file = folder.path().join("agent.yml");
    fs::write(&file, "authorization: {credentials_file: token}").expect("written");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/proxy", listener.local_addr().expect("an address"));
    let proxy = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = [0; 4_096];
        let length = stream.read(&mut request).expect("a request");
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").expect("answered");
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let output = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["check", "--agent", &url, "--agent.config.file"])
        .arg(&file)
        .output()
        .expect("it runs");
    let request = proxy.join().expect("the proxy");
    assert!(request.starts_with("GET /proxy/api/v1/snapshot HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nauthorization: Bearer abc.def\r\n"), "{request}");
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(error, format!("highwater: the agent at {url} answers 403 Forbidden\n"));
}

#[test]
fn the_example_in_the_documentation_is_read_and_prometheus_reads_it_too() {
    let documentation = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/web.md")).expect("docs/web.md");
    let (_, rest) = documentation.split_once("--http.config.file` reads the same):\n\n```yaml\n").expect("the example");
    let example = rest.split_once("```").expect("its end").0;
    let authority = Authority::new();
    let (folder, pair) = (tempfile::tempdir().expect("a folder"), authority.sign("check"));
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write("agent.yml", example);
    write("password", "right");
    write("ca.crt", &authority.0.pem());
    write("client.crt", &pair.certificate);
    write("client.key", &pair.key);
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let output = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["check", "--agent", &format!("https://{free}"), "--agent.config.file"])
        .arg(folder.path().join("agent.yml"))
        .output()
        .expect("it runs");
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(error.starts_with(&format!("highwater: cannot reach the agent at https://{free}: ")), "{error}");

    let scrape =
        format!("scrape_configs:\n  - job_name: highwater\n    {}", example.trim_end().replace('\n', "\n    "));
    write("prometheus.yml", &scrape);
    let file = folder.path().join("prometheus.yml");
    let result = output_of("promtool", &["check", "config", file.to_str().expect("UTF-8")], "");
    assert!(result.as_ref().is_none_or(|(good, _)| *good), "{result:?}");
}

#[test]
fn tls_is_not_spoken_to_an_agent_without() {
    let demo = Demo::start(&["--speed", "1"]);
    let url = demo.url.replace("http://", "https://");
    let output = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["check", "--agent", &url])
        .env("SSL_CERT_FILE", "/nowhere")
        .env("SSL_CERT_DIR", "/nowhere")
        .output()
        .expect("it runs");
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(
        error,
        "highwater: this machine has no CA bundle; name the CA of the agent in tls_config.ca_file of --agent.config.file\n"
    );
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("agent.yml"), "tls_config: {insecure_skip_verify: true}").expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["check", "--agent", &url, "--agent.config.file"])
        .arg(folder.path().join("agent.yml"))
        .output()
        .expect("it runs");
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    let reason = "what answers there speaks no TLS; write http:// instead";
    assert_eq!(error, no_tls(&url, reason).1);
}
