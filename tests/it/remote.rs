//! What do `check` and `explain` say when they ask a running agent?

use crate::demo::Demo;
use std::net::TcpListener;
use std::process::Command;

fn highwater(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_highwater")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_named_agent_gives_the_table_and_the_exit_code_of_what_it_knows() {
    let demo = Demo::start(&["--speed", "1"]);
    let (code, table, _) = highwater(&["check", "--agent", &demo.url]);
    let lines: Vec<&str> = table.lines().collect();
    let [.., origin, verdict] = lines.as_slice() else { panic!("{table}") };
    assert!(origin.starts_with(&format!("From the agent at {}: sampled ", demo.url)), "{table}");
    let position = ["OK", "WARNING", "CRITICAL", "UNKNOWN"].iter().position(|word| word == verdict);
    assert_eq!(code.map(usize::try_from), position.map(Ok));
    assert!(
        table.contains("capd-old-worker") && !table.contains("rate unknown yet"),
        "its history is behind it: {table}"
    );
    // The windows are those of who asks.
    let (code, ..) = highwater(&["check", "--agent", &demo.url, "--critical", "1s", "--warning", "1s"]);
    assert_eq!(code, Some(0));
    let (code, ..) = highwater(&["check", "--agent", &demo.url, "--critical", "1000d", "--warning", "1000d"]);
    assert_eq!(code, Some(2));

    let (code, text, _) = highwater(&["explain", "capd-old-worker", "--agent", &demo.url, "--if-write", "200GiB"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("Image GC: after 200 GiB more, its threshold is crossed by"), "{text}");
    assert!(text.contains("From the agent at "), "{text}");
    let (code, _, error) = highwater(&["explain", "no where", "--agent", &demo.url]);
    let says =
        format!("highwater: the agent at {} says: no layer is called \"no where\"; the layers are: host, ", demo.url);
    assert!(code == Some(2) && error.starts_with(&says), "{error}");
}

#[test]
fn an_agent_that_is_not_there_leaves_the_answer_unknown() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    for command in ["check", "explain"] {
        let (code, table, error) = highwater(&[command, "--agent", &url]);
        assert_eq!((code, table.as_str()), (Some(3), ""), "{command}");
        assert_eq!(error, format!("highwater: cannot reach the agent at {url}: Connection refused (os error 111)\n"));
    }
    let (code, _, error) = highwater(&["check", "--agent", "unix:///nowhere/highwater.sock"]);
    let says =
        "highwater: cannot reach the agent at unix:///nowhere/highwater.sock: No such file or directory (os error 2)\n";
    assert_eq!((code, error.as_str()), (Some(3), says));
    let (code, _, error) = highwater(&["check", "--agent", "node-1"]);
    assert_eq!(code, Some(4));
    assert!(error.contains("\"node-1\" is no address of an agent; write it as http://node-1:9469"), "{error}");
}
