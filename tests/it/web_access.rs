//! Who gets an answer? TLS, client certificates and passwords, with a real TLS client and certificates made here.

use crate::certificates::{Authority, Pair, alice};
use crate::node;
use highwater::export::metrics::Budget;
use highwater::time::Span;
use highwater::web::{AccessRules, Answers, Limits, PageOptions, Published, serve};
use std::fs;
use std::future::pending;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A server with the files of its web configuration in a folder.
struct Server {
    folder: TempDir,
    address: SocketAddr,
    rules: Arc<AccessRules>,
    authority: Authority,
}

/// Starts a server with this configuration. Beside it are `server.crt`, `server.key` and `ca.crt`.
async fn start(config: &str) -> Server {
    start_with(config, Limits::default()).await
}

async fn start_with(config: &str, limits: Limits) -> Server {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    write(folder.path(), &authority.sign("localhost"));
    fs::write(folder.path().join("ca.crt"), authority.0.pem()).unwrap();
    fs::write(folder.path().join("web.yml"), config).unwrap();
    let rules = Arc::new(AccessRules::from_file(&folder.path().join("web.yml")).unwrap());

    let published = Arc::new(Published::new());
    published.publish(Arc::new(node::snapshot()));
    let answers = Answers::new(published, node::now, "/metrics".to_owned(), Budget::default(), PageOptions::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(vec![listener.into()], Arc::new(answers), Arc::clone(&rules), limits, pending()));
    Server { folder, address, rules, authority }
}

fn write(folder: &Path, pair: &Pair) {
    fs::write(folder.join("server.crt"), &pair.certificate).unwrap();
    fs::write(folder.join("server.key"), &pair.key).unwrap();
}

const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";
const MUTUAL: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_ca_file: ca.crt\n";

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, headers: &str) -> std::io::Result<String> {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(String::from_utf8(answer).unwrap()),
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("")
}

impl Server {
    fn connector(&self, client: Option<&Pair>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.0.der().clone()).unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        match client {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        }
    }

    /// The answer to a scrape over TLS.
    async fn scrape(&self, client: Option<&Pair>) -> std::io::Result<String> {
        self.scrape_with(self.connector(client)).await
    }

    async fn scrape_with(&self, config: ClientConfig) -> std::io::Result<String> {
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        talk(stream, "").await
    }

    /// The status of a scrape without TLS by a user.
    async fn login(&self, name_and_password: &str) -> String {
        self.login_from("127.0.0.1", name_and_password).await
    }

    async fn login_from(&self, source: &str, name_and_password: &str) -> String {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
        let stream = socket.connect(self.address).await.unwrap();
        let answer = talk(stream, &authorization(name_and_password)).await.unwrap_or_default();
        status(&answer).to_owned()
    }
}

fn authorization(name_and_password: &str) -> String {
    use base64::Engine;
    format!("Authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(name_and_password))
}

#[tokio::test]
async fn with_tls_a_client_that_knows_the_authority_is_answered() {
    let server = start(TLS).await;
    let answer = server.scrape(None).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("highwater_build_info"), "{answer}");
    let stranger = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    assert!(server.scrape_with(stranger).await.is_err());
    let plain = talk(TcpStream::connect(server.address).await.unwrap(), "").await.unwrap_or_default();
    assert!(!plain.contains("HTTP/1.1 200"), "{plain}");
}

#[tokio::test]
async fn a_client_certificate_of_another_authority_or_none_is_refused() {
    let server = start(&format!("{MUTUAL}  client_auth_type: RequireAndVerifyClientCert\n")).await;
    assert!(server.scrape(Some(&server.authority.sign("prometheus"))).await.is_ok());
    for wrong in
        [None, Some(Authority::new().sign("prometheus")), Some(server.authority.sign_until("prometheus", 2001))]
    {
        let error = server.scrape(wrong.as_ref()).await.unwrap_err();
        assert!(error.to_string().contains("alert"), "the server refuses: {error}");
    }
}

#[tokio::test]
async fn each_way_to_ask_for_client_certificates_is_that_of_go() {
    // Accepted: no certificate, one of the authority, one of another.
    for (client_auth, accepted) in [
        ("NoClientCert", [true, true, true]),
        ("RequestClientCert", [true, true, true]),
        ("RequireAnyClientCert", [false, true, true]),
        ("RequireClientCert", [false, true, true]),
        ("VerifyClientCertIfGiven", [true, true, false]),
        ("RequireAndVerifyClientCert", [false, true, false]),
    ] {
        let files = if client_auth == "NoClientCert" { TLS } else { MUTUAL };
        let server = start(&format!("{files}  client_auth_type: {client_auth}\n")).await;
        let clients = [None, Some(server.authority.sign("x")), Some(Authority::new().sign("x"))];
        for (client, accepted) in clients.iter().zip(accepted) {
            assert_eq!(server.scrape(client.as_ref()).await.is_ok(), accepted, "{client_auth}");
        }
    }
}

#[tokio::test]
async fn a_client_certificate_needs_one_of_the_allowed_names() {
    let config = format!(
        "{MUTUAL}  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [prometheus.example, 10.0.0.7]\n"
    );
    let server = start(&config).await;
    for (name, accepted) in
        [("prometheus.example", true), ("10.0.0.7", true), ("other.example", false), ("*.example", false)]
    {
        let client = server.authority.sign(name);
        assert_eq!(server.scrape(Some(&client)).await.is_ok(), accepted, "{name}");
    }
    let forged = Authority::new().sign("prometheus.example");
    assert!(server.scrape(Some(&forged)).await.is_err());
}

#[tokio::test]
async fn an_expired_certificate_is_replaced_while_it_serves() {
    let server = start(TLS).await;
    write(server.folder.path(), &server.authority.sign_until("localhost", 2001));
    server.rules.reload();
    let error = server.scrape(None).await.unwrap_err().to_string();
    assert!(error.contains("expired"), "{error}");
    write(server.folder.path(), &server.authority.sign("localhost"));
    server.rules.reload();
    assert!(server.scrape(None).await.is_ok());
}

#[tokio::test]
async fn what_is_broken_leaves_the_old_certificate_in_force() {
    let server = start(TLS).await;
    let path = server.folder.path().join("web.yml");
    // A key of another certificate; no certificate; no file; no YAML; TLS off.
    fs::write(server.folder.path().join("server.key"), server.authority.sign("localhost").key).unwrap();
    server.rules.reload();
    assert!(server.scrape(None).await.is_ok());
    fs::write(server.folder.path().join("server.crt"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    server.rules.reload();
    assert!(server.scrape(None).await.is_ok());
    fs::remove_file(server.folder.path().join("server.crt")).unwrap();
    server.rules.reload();
    assert!(server.scrape(None).await.is_ok());
    for broken in ["tls_server_config: [", "", &TLS.replace("server.crt", "other.crt")] {
        fs::write(&path, broken).unwrap();
        server.rules.reload();
        assert!(server.scrape(None).await.is_ok(), "{broken}");
    }
    // What it names comes later, without a change of the file itself.
    let other = Authority::new().sign("localhost");
    fs::write(server.folder.path().join("other.crt"), other.certificate).unwrap();
    fs::write(server.folder.path().join("server.key"), other.key).unwrap();
    server.rules.reload();
    let error = server.scrape(None).await.unwrap_err().to_string();
    assert!(error.contains("invalid peer certificate"), "the new one is served: {error}");
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_allowed() {
    for (config, chosen) in
        [(TLS.to_owned(), &b"h2"[..]), (format!("{TLS}http_server_config:\n  http2: false\n"), b"http/1.1")]
    {
        let server = start(&config).await;
        let mut config = server.connector(None);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(server.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol().unwrap(), chosen);
        if chosen == b"h2" {
            let io = hyper_util::rt::TokioIo::new(stream);
            let executor = hyper_util::rt::TokioExecutor::new();
            let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
            tokio::spawn(connection);
            let request = hyper::Request::get("https://localhost/metrics").body(String::new()).unwrap();
            assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
        }
    }
}

#[tokio::test]
async fn versions_suites_and_curves_are_those_of_the_file() {
    use tokio_rustls::rustls::version::{TLS12, TLS13};
    let server = start(&format!("{TLS}  min_version: TLS13\n  curve_preferences: [CurveP384]\n")).await;
    let mut roots = RootCertStore::empty();
    roots.add(server.authority.0.der().clone()).unwrap();
    for (version, accepted) in [(&TLS12, false), (&TLS13, true)] {
        let client = ClientConfig::builder_with_protocol_versions(&[version]);
        let client = client.with_root_certificates(roots.clone()).with_no_client_auth();
        assert_eq!(server.scrape_with(client).await.is_ok(), accepted, "{version:?}");
    }
    let suite = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
    let server = start(&format!("{TLS}  max_version: TLS12\n  cipher_suites: [{suite}]\n")).await;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let stream = TlsConnector::from(Arc::new(server.connector(None))).connect(name, stream).await.unwrap();
    assert_eq!(format!("{:?}", stream.get_ref().1.negotiated_cipher_suite().unwrap().suite()), suite);
}

#[tokio::test]
async fn a_client_that_hangs_in_the_handshake_is_let_go() {
    let limits = Limits { header_timeout: Span::from_millis(50), ..Limits::default() };
    let server = start_with(TLS, limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The start of a record that never comes.
    stream.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    let mut rest = Vec::new();
    // Returns only because the server closes.
    stream.read_to_end(&mut rest).await.unwrap_or_default();
    assert!(!rest.starts_with(b"HTTP"));
}

#[tokio::test]
async fn every_path_needs_the_password() {
    let server = start(&alice(4)).await;
    for path in ["/", "/metrics", "/api/v1/snapshot", "/-/healthy", "/-/ready", "/nothing", "/style.css"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 401 ") && answer.contains("www-authenticate: Basic\r\n"),
            "{path}: {answer}"
        );
        assert!(!answer.contains("highwater_"), "{answer}");
    }
    assert_eq!(server.login("alice:right").await, "200");
    for wrong in ["alice:wrong", "bob:right", "alice:", ":"] {
        assert_eq!(server.login(wrong).await, "401", "{wrong}");
    }
}

#[tokio::test]
async fn users_are_changed_while_it_serves() {
    let server = start(&alice(4)).await;
    assert_eq!(server.login("alice:right").await, "200");
    let path = server.folder.path().join("web.yml");
    fs::write(&path, alice(4).replace("alice", "bob")).unwrap();
    server.rules.reload();
    assert_eq!(server.login("alice:right").await, "401");
    assert_eq!(server.login("bob:right").await, "200");
    fs::write(&path, "").unwrap();
    server.rules.reload();
    assert_eq!(server.login("nobody").await, "200", "no users, no password");
}

#[tokio::test]
async fn a_file_that_becomes_a_fifo_is_not_waited_for() {
    let server = start(&alice(4)).await;
    let path = server.folder.path().join("web.yml");
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    server.rules.reload();
    assert_eq!(server.login("alice:right").await, "200");
    fs::remove_file(&path).unwrap();
    fs::write(&path, alice(4).replace("alice", "bob")).unwrap();
    server.rules.reload();
    assert_eq!(server.login("alice:right").await, "401");
    assert_eq!(server.login("bob:right").await, "200");
}

#[tokio::test]
async fn with_a_password_or_tls_any_name_will_do() {
    let request = "GET /api/v1/snapshot HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n";
    let server = start(&alice(4)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let login = "Authorization: Basic YWxpY2U6cmlnaHQ=\r\n\r\n";
    stream.write_all(format!("{request}{login}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    let server = start(TLS).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(server.connector(None))).connect(name, stream).await.unwrap();
    stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_right_password_is_admitted_among_a_thousand_wrong_ones() {
    // On a busy machine the flood takes its time; no client is to be sent away for that.
    let patient = Limits { header_timeout: Span::from_secs(3_600), ..Limits::default() };
    let server = Arc::new(start_with(&alice(6), patient).await);
    let mut flood = tokio::task::JoinSet::new();
    let wrong = |number: u32| {
        let server = Arc::clone(&server);
        async move { server.login_from("127.0.0.2", &format!("alice:wrong {number}")).await }
    };
    for number in 0..200 {
        flood.spawn(wrong(number));
    }
    // Never seen before, from another address: next after the check that runs.
    assert_eq!(server.login_from("127.0.0.3", "alice:right").await, "200");
    // Seen before: at once, also from the address of the flood.
    assert_eq!(server.login_from("127.0.0.2", "alice:right").await, "200");
    // More connections than there are places push out each other.
    for number in 200..1_000 {
        flood.spawn(wrong(number));
    }
    assert_eq!(server.login_from("127.0.0.3", "alice:right").await, "200");
    let mut answers = Vec::new();
    while let Some(answer) = flood.join_next().await {
        answers.push(answer.unwrap());
    }
    assert!(answers.iter().all(|answer| matches!(answer.as_str(), "401" | "503" | "")), "{answers:?}");
}

#[tokio::test]
async fn headers_and_the_rate_limit_of_the_file_are_applied() {
    let config = "http_server_config:\n  headers:\n    Content-Security-Policy: sandbox\n    Strict-Transport-Security: max-age=1\n\
                  rate_limit:\n  interval: 1h\n  burst: 2\n";
    let server = start(config).await;
    let scrape = async || talk(TcpStream::connect(server.address).await.unwrap(), "").await.unwrap();
    let answer = scrape().await;
    assert!(answer.contains("content-security-policy: sandbox\r\n"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age=1\r\n"), "{answer}");
    assert_eq!(status(&scrape().await), "200");
    let refused = scrape().await;
    assert!(status(&refused) == "429" && refused.contains("retry-after: 1\r\n"), "{refused}");
}
