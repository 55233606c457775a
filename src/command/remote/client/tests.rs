use super::*;
use std::io::{Read, Write};

/// Its variants are named in an error as they were written.
#[derive(Debug, Deserialize)]
struct OneOf {
    #[expect(dead_code, reason = "only whether it is known matters")]
    needed: Choice,
}

#[derive(Debug, Deserialize)]
enum Choice {}

#[test]
fn an_error_that_quotes_a_reply_cannot_steer_a_terminal() {
    let reply = http("200 OK", "{\"schema_version\": 1, \"needed\": \"x\\u001b[31m\\u202e\"}");
    let said = answered::<OneOf>(&reply, true).unwrap_err();
    assert!(said.contains("x\u{fffd}[31m\u{fffd}") && !said.contains('\u{1b}'), "{said}");
}

const QUICK: Timeouts = Timeouts { connect: Duration::from_secs(5), whole: Duration::from_millis(300) };

/// What becomes of a peer that answers with this and then waits, or closes.
fn answered<T: DeserializeOwned>(reply: &[u8], closes: bool) -> Result<T, String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address: AgentAddress = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let agent = Agent { address, config: None };
    let reply = reply.to_vec();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1_024];
        // The client may have had enough before everything is written.
        stream.read(&mut request).and_then(|_| stream.write_all(&reply)).unwrap_or(());
        if !closes {
            while stream.read(&mut request).is_ok_and(|length| length > 0) {}
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let patience = if closes { Timeouts::PATIENT } else { QUICK };
    let result = runtime.block_on(get(&agent, "/x", 1, patience));
    drop(runtime);
    peer.join().unwrap();
    result.map_err(|error| crate::error_chain::error_chain(&error).replace(&agent.address.to_string(), "AGENT"))
}

fn http(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn a_peer_that_is_no_good_agent_is_told_by_what_it_does() {
    let cases = [
        (http("200 OK", "<html>"), "what the agent at AGENT answers is not understood: expected value at line 1"),
        (http("200 OK", "[1]"), "what the agent at AGENT answers is not understood: it is no object"),
        (
            http("200 OK", "{\"schema_version\": 1, \"error\": \"x\"}"),
            "what the agent at AGENT answers is not understood: missing field `needed`",
        ),
        (
            http("200 OK", "{\"schema_version\": 2}"),
            "what the agent at AGENT answers is not understood: it speaks version 2 of the schema, and this highwater \
             1: missing field `needed`",
        ),
        (
            http("404 Not Found", "404 page not found\n"),
            "the agent at AGENT answers 404 Not Found: it is no highwater, or one too old for this",
        ),
        (
            http("404 Not Found", "{\"error\": \"no layer is called \\u001b\"}"),
            "the agent at AGENT says: no layer is called \u{fffd}",
        ),
        (
            http("401 Unauthorized", "who?"),
            "the agent at AGENT answers 401 Unauthorized: it wants a user and a password: basic_auth in \
             --agent.config.file",
        ),
        (
            http("401 Unauthorized", "{\"error\": \"no \\u001bone asks here.\\n\"}"),
            "the agent at AGENT answers 401 Unauthorized: no \u{fffd}one asks here; it wants a user and a password: basic_auth \
             in --agent.config.file",
        ),
        (
            http("503 Service Unavailable", "{\"error\": \"no sample yet\"}"),
            "the agent at AGENT answers 503 Service Unavailable: no sample yet",
        ),
        (
            http("401 Unauthorized\r\nWWW-Authenticate: bearer realm=x", ""),
            "the agent at AGENT answers 401 Unauthorized: it wants a token: authorization in --agent.config.file",
        ),
        (
            http("400 Bad Request", "Client sent an HTTP request to an HTTPS server.\n"),
            "the agent at AGENT answers 400 Bad Request: it speaks TLS; write https:// instead",
        ),
        // An alert of TLS.
        (
            b"\x15\x03\x03\x00\x02\x02\x32".to_vec(),
            "the connection to the agent at AGENT failed; if it speaks TLS, write https://: ",
        ),
        (http("302 Found", ""), "the agent at AGENT answers 302 Found"),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "the connection to the agent at AGENT failed; "),
        (Vec::new(), "the connection to the agent at AGENT failed; "),
    ];
    for (reply, says) in cases {
        let said = answered::<Needed>(&reply, true).unwrap_err();
        assert!(said.starts_with(says), "{said}\nis not\n{says}");
    }
}

#[derive(Debug, Deserialize)]
struct Needed {
    #[expect(dead_code, reason = "only whether it is there matters")]
    needed: u32,
}

#[test]
fn a_peer_that_never_ends_is_given_up() {
    let said = answered::<Value>(b"", false).unwrap_err();
    assert_eq!(said, "the agent at AGENT has not answered within 0.3s");
    let said = answered::<Value>(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", false).unwrap_err();
    assert_eq!(said, "the agent at AGENT has not answered within 0.3s");
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(MOST_BYTES + 1_024, b'{');
    let said = answered::<Value>(&endless, true).unwrap_err();
    assert_eq!(said, "the agent at AGENT answers with more than 32 MiB");
    let deep = http("200 OK", &"[".repeat(100_000));
    let said = answered::<Value>(&deep, true).unwrap_err();
    assert!(said.contains("recursion limit exceeded"), "{said}");
}
