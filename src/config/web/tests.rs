use super::*;
use crate::config::{Contents, TlsVersion};
use std::fs;

/// The error of a file with this text, after its path.
fn error(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yml");
    fs::write(&path, text).unwrap();
    let error = WebConfig::read(&path).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error.strip_prefix(path.to_str().unwrap()).unwrap().to_owned()
}

fn read(text: &str) -> WebConfig {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yml");
    fs::write(&path, text).unwrap();
    WebConfig::read(&path).unwrap()
}

#[test]
fn every_key_of_exporter_toolkit_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yml");
    let text = r#"
tls_server_config:
  cert_file: tls/server.crt
  key_file: /etc/tls/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [prometheus.monitoring.svc, 10.0.0.7]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384]
  prefer_server_cipher_suites: true
  curve_preferences: [X25519, CurveP256, CurveP384]
http_server_config:
  http2: false
  headers:
    Content-Security-Policy: ""
    X-Frame-Options: deny
    X-Content-Type-Options: nosniff
    X-XSS-Protection: "0"
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  alice: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi
rate_limit:
  interval: 10ms
  burst: 20
"#;
    fs::write(&path, text).unwrap();
    let config = WebConfig::read(&path).unwrap();
    let tls = config.tls.as_ref().unwrap();
    assert_eq!(tls.certificate, Contents::File(folder.path().join("tls/server.crt")));
    assert_eq!(tls.key, Contents::File("/etc/tls/server.key".into()));
    assert_eq!(tls.client_ca, Some(Contents::File(folder.path().join("ca.crt"))));
    assert_eq!(tls.client_auth, ClientAuth::RequireAndVerify);
    assert_eq!(tls.client_allowed_sans.as_deref().unwrap(), ["prometheus.monitoring.svc", "10.0.0.7"]);
    assert_eq!((tls.min_version, tls.max_version), (TlsVersion::Tls12, TlsVersion::Tls13));
    assert_eq!(tls.cipher_suites, [CipherSuite::EcdheRsaAes128, CipherSuite::OfTls13]);
    assert_eq!(tls.curves, [Curve::X25519, Curve::P256, Curve::P384]);
    assert!(!config.http2);
    let headers: Vec<_> = config.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let wanted = [
        ("strict-transport-security", "max-age=31536000"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "deny"),
        ("x-xss-protection", "0"),
    ];
    assert_eq!(headers, wanted);
    assert_eq!(config.users["alice"].cost(), 10);
    let limit = config.rate_limit.unwrap();
    assert_eq!((limit.interval, limit.burst.get()), (crate::time::Span::from_millis(10), 20));
    assert_eq!(config.files().len(), 3);
}

#[test]
fn a_file_that_says_nothing_switches_nothing_on() {
    for text in ["", "# nothing\n", "tls_server_config:\n", "tls_server_config: {}\nbasic_auth_users: {}\n"] {
        let config = read(text);
        assert!(config.tls.is_none() && config.users.is_empty() && config.headers.is_empty() && config.http2, "{text}");
    }
    assert!(read("tls_server_config:\n  min_version: TLS13\n").tls.is_none());
    assert!(read("rate_limit:\n  interval: 0s\n  burst: 3\n").rate_limit.is_none());
}

#[test]
fn what_cannot_be_used_is_named_with_its_place_and_the_remedy() {
    let tls = "tls_server_config:\n  cert_file: a\n  key_file: b\n";
    let cases = [
        ("tls_server_conf:\n  cert_file: a\n", ":1:1: ", "tls_server_config"),
        (&format!("{tls}  cert_fil: c\n"), ":4:3: ", "cert_file"),
        (&format!("{tls}  min_version: TLS10\n"), ":4:16: ", "TLS12"),
        (&format!("{tls}  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]\n"), ":4:19: ", "TLS_ECDHE_ECDSA_WITH_AES"),
        (&format!("{tls}  curve_preferences: [CurveP521]\n"), ":4:23: ", "CurveP384"),
        (&format!("{tls}  client_auth_type: Always\n"), ":4:21: ", "RequireAndVerifyClientCert"),
        (&format!("{tls}  client_auth_type: RequireAndVerifyClientCert\n"), ":4:21: ", "add client_ca_file"),
        (&format!("{tls}  client_ca_file: ca\n"), ":4:19: ", "set RequireAndVerifyClientCert"),
        (&format!("{tls}  client_allowed_sans: [x]\n"), ":4:24: ", "needs client_auth_type"),
        (&format!("{tls}  cert: x\n"), ":2:14: ", "cert and cert_file are both given; remove one"),
        (&format!("{tls}  min_version: TLS13\n  max_version: TLS12\n"), ":4:16: ", "above max_version"),
        ("tls_server_config:\n  cert_file: a\n", ":2:14: ", "TLS needs key or key_file"),
        ("tls_server_config:\n  key_file: a\n", ":2:13: ", "TLS needs cert or cert_file"),
        ("http_server_config:\n  headers:\n    Server: x\n", ":3:5: ", "X-Frame-Options"),
        ("http_server_config:\n  headers:\n    X-Frame-Options: maybe\n", ":3:22: ", "sameorigin"),
        ("basic_auth_users:\n  bob: hunter2\n", ":2:8: ", "htpasswd"),
        ("rate_limit:\n  interval: soon\n", ":2:13: ", "30s"),
        ("rate_limit:\n  interval: 1s\n  burst: 0\n", ":3:3: ", "nonzero"),
    ];
    for (text, begins, contains) in cases {
        let error = error(text);
        assert!(error.starts_with(begins) && error.contains(contains), "{text}{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_hash_that_takes_minutes_is_refused() {
    let hash = PasswordHash::of_nobody(17);
    let error = error(&format!("basic_auth_users:\n  bob: {}\n", hash.as_str()));
    assert!(error.contains("cost 17; make one with 4 to 16"), "{error}");
    assert_eq!(PasswordHash::try_from(PasswordHash::of_nobody(10).as_str().to_owned()).unwrap().cost(), 10);
}

#[test]
fn secrets_are_not_printed() {
    let config = read("tls_server_config:\n  cert: CERT\n  key: SECRET\n");
    let text = format!("{config:?}");
    assert!(!text.contains("SECRET"), "{text}");
}
