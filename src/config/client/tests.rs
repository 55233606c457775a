use super::*;
use std::fs;

fn result(text: &str) -> (tempfile::TempDir, Result<ClientConfig, String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.yml");
    fs::write(&path, text).unwrap();
    let result = ClientConfig::read(&path).map_err(|error| {
        let text = crate::error_chain::error_chain(&error);
        text.strip_prefix(path.to_str().unwrap()).unwrap().to_owned()
    });
    (folder, result)
}

#[test]
fn what_prometheus_writes_is_understood_and_paths_are_relative_to_the_file() {
    let inline = |text: &str| Contents::Inline(text.to_owned());
    for (text, login) in [
        ("", None),
        (
            "basic_auth: {username: alice, password: s}",
            Some(Login::Basic { user: inline("alice"), password: inline("s") }),
        ),
        (
            "authorization: {credentials: t}",
            Some(Login::Token { scheme: "Bearer".to_owned(), credentials: inline("t") }),
        ),
        (
            "authorization: {type: Token, credentials: t}",
            Some(Login::Token { scheme: "Token".to_owned(), credentials: inline("t") }),
        ),
        // What looks like another type is text all the same.
        (
            "basic_auth: {username: 007, password: 1e3}",
            Some(Login::Basic { user: inline("007"), password: inline("1e3") }),
        ),
    ] {
        let (_, config) = result(text);
        assert_eq!(config, Ok(ClientConfig { login, tls: ClientTls::default() }), "{text}");
    }
    let text = "basic_auth:\n  username_file: user\n  password_file: /etc/password\ntls_config:\n  ca_file: tls/ca.crt\n  \
                cert_file: client.crt\n  key_file: client.key\n  server_name: node-1\n  min_version: TLS13\n  \
                insecure_skip_verify: true\n";
    let (folder, config) = result(text);
    let file = |name: &str| Contents::File(folder.path().join(name));
    let tls = ClientTls {
        authorities: Some(file("tls/ca.crt")),
        identity: Some((file("client.crt"), file("client.key"))),
        server_name: Some(ServerName::try_from("node-1").unwrap()),
        verifies: false,
        versions: TlsVersion::Tls13..=TlsVersion::Tls13,
    };
    let login = Login::Basic { user: file("user"), password: Contents::File("/etc/password".into()) };
    assert_eq!(config, Ok(ClientConfig { login: Some(login), tls }));
}

#[test]
fn what_cannot_be_used_is_named_with_its_place_and_the_remedy_and_no_secret() {
    let cases = [
        ("basic_aut: {}", ":1:1: ", "basic_auth"),
        ("basic_auth:\n  user: alice\n", ":2:3: ", "username"),
        ("authorization:\n  token: hunter2\n", ":2:3: ", "credentials"),
        ("tls_config:\n  ca_path: x\n", ":2:3: ", "ca_file"),
        ("proxy_url: http://x\n", ":1:1: ", "expected one of"),
        ("basic_auth:\n  username: a\n", ":2:3: ", "basic_auth needs password or password_file; add one of them"),
        ("basic_auth:\n  password: hunter2\n", ":2:3: ", "basic_auth needs username or username_file"),
        (
            "basic_auth:\n  username: a\n  password: hunter2\n  password_file: x\n",
            ":4:18: ",
            "password and password_file are both given; remove one of them",
        ),
        (
            "basic_auth:\n  username: a\n  username_file: x\n  password: hunter2\n",
            ":3:18: ",
            "username and username_file",
        ),
        ("basic_auth:\n  username: a:hunter2\n  password: hunter2\n", ":2:13: ", "no colon"),
        (
            "basic_auth: {username: a, password: hunter2}\nauthorization:\n  credentials: hunter2\n",
            ":3:3: ",
            "basic_auth and authorization are both given; remove one of them",
        ),
        ("authorization:\n  type: Bearer\n", ":2:3: ", "authorization needs credentials or credentials_file"),
        ("authorization:\n  type: Basic\n  credentials: hunter2\n", ":2:9: ", "given by basic_auth"),
        ("authorization:\n  type: Bearer hunter2\n", ":2:9: ", "one word, as Bearer"),
        ("authorization:\n  credentials: hunter2\n  credentials_file: x\n", ":3:21: ", "both given"),
        ("tls_config:\n  cert_file: x\n", ":2:14: ", "needs key_file as well"),
        ("tls_config:\n  key_file: x\n", ":2:13: ", "needs cert_file as well"),
        ("tls_config:\n  ca: x\n  ca_file: x\n", ":3:12: ", "ca and ca_file are both given"),
        ("tls_config:\n  min_version: TLS10\n", ":2:16: ", "TLS12"),
        ("tls_config:\n  min_version: TLS13\n  max_version: TLS12\n", ":2:16: ", "above max_version"),
        ("tls_config:\n  server_name: a:443\n", ":2:16: ", "without port"),
        ("tls_config:\n  insecure_skip_verify: maybe\n", ":2:25: ", "bool"),
        // Where a secret stands in the wrong place, the parser must not repeat it.
        ("basic_auth: hunter2\n", ":1:13: ", ""),
        ("basic_auth:\n  password hunter2\n", ":2:3: ", ""),
        ("basic_auth:\n  password: [hunter2]\n", ":2:13: ", ""),
        ("basic_auth:\n  password: {hunter2: hunter2}\n", ":2:13: ", ""),
        ("basic_auth:\n  password: !!int hunter2\n", ":2:", ""),
        ("basic_auth:\n  password: \"hunter2\n", ":", ""),
        ("basic_auth:\n  password: *hunter2\n", ":2:13: ", ""),
        ("hunter2\n", ":1:1: ", ""),
    ];
    for (text, begins, contains) in cases {
        let error = result(text).1.unwrap_err();
        assert!(error.starts_with(begins) && error.contains(contains), "{text}{error}");
        assert!(!error.contains("hunter2"), "{text}{error}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let text = "basic_auth: {username: alice, password: hunter2}\ntls_config: {cert: hunter2, key: hunter2}\n";
    let config = format!("{:?}", result(text).1.unwrap());
    assert!(!config.contains("hunter2"), "{config}");
}
