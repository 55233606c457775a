//! What does somebody see who mistypes? One line that names what and where, and a documented exit code.

use crate::tools;
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};
use tempfile::TempDir;

fn highwater(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_highwater")).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn an_unknown_flag_is_named() {
    let output = highwater(&["--web.listen-adress=:1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).starts_with("error: unexpected argument '--web.listen-adress' found"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("--web.listen-address"), "the right one is offered: {}", stderr(&output));
}

#[test]
fn a_configuration_that_cannot_be_read_or_understood_is_one_line() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("highwater.yaml");
    let file = path.to_str().unwrap();
    let cases = [
        (
            None,
            format!("highwater: cannot read the configuration file {file}: No such file or directory (os error 2)\n"),
        ),
        (Some("sampel: {}\n"), format!("highwater: {file}:1:1: unknown field `sampel`")),
        (
            Some("web:\n  listen_addresses: [nowhere]\n"),
            format!("highwater: {file}:2:22: \"nowhere\" is no listen address"),
        ),
        (Some("sample: [1\n"), format!("highwater: {file}:")),
        (
            Some("sample:\n  interval: 1ms\n"),
            "highwater: sample.interval is 1ms, but must be between 100ms and 5m\n".to_owned(),
        ),
    ];
    for (text, expected) in cases {
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        for (command, code) in [("run", 2), ("check", 4)] {
            let output = highwater(&[command, "--config.file", file]);
            let message = stderr(&output);
            assert!(message.starts_with(&expected), "{message} is not {expected}");
            assert_eq!(message.lines().count(), 1, "{message}");
            assert_eq!(output.status.code(), Some(code), "{message}");
        }
    }
}

#[test]
fn a_file_that_is_a_fifo_a_device_or_a_directory_is_named_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo.csv");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let client = folder.path().join("client.yml");
    std::fs::write(&client, "basic_auth: {username: a, password_file: fifo.csv}").unwrap();
    let web = folder.path().join("web.yml");
    std::fs::write(&web, "tls_server_config: {cert_file: fifo.csv, key_file: fifo.csv}").unwrap();
    let (fifo, client, web) = (fifo.to_str().unwrap(), client.to_str().unwrap(), web.to_str().unwrap());
    for arguments in [
        &["run", "--config.file", fifo][..],
        &["run", "--web.config.file", fifo],
        &["run", "--web.config.file", web],
        &["run", "--recording", fifo],
        &["replay", fifo],
        &["explain", "--recording", fifo],
        &["backtest", fifo],
        &["check", "--agent", "http://127.0.0.1:1", "--agent.config.file", fifo],
        &["check", "--agent", "http://127.0.0.1:1", "--agent.config.file", client],
    ] {
        let output = highwater(arguments);
        let text = stderr(&output);
        let says = if arguments.contains(&"run") && arguments.contains(&"--recording") {
            "it is not an ordinary file"
        } else {
            "it is a FIFO; name a regular file"
        };
        assert!(!output.status.success() && text.contains(fifo) && text.contains(says), "{arguments:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
    }
    let text = stderr(&highwater(&["replay", "/dev/null"]));
    assert!(text.contains("/dev/null: it is a device; name a regular file"), "{text}");
    let text = stderr(&highwater(&["run", "--config.file", "/"]));
    assert!(text.contains("it is a directory; name a regular file"), "{text}");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for command in ["run", "demo"] {
        let output = highwater(&[command, "--web.listen-address", &address]);
        let expected = format!("highwater: cannot listen on {address}: Address already in use (os error 98)\n");
        assert_eq!(stderr(&output), expected);
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn a_procfs_that_is_not_there_is_named() {
    let output = highwater(&["check", "--path.procfs", "/nowhere"]);
    let expected =
        "highwater: cannot read the processes of this machine: open /nowhere: ENOENT: No such file or directory\n";
    assert_eq!(stderr(&output), expected);
    assert_eq!(output.status.code(), Some(4));
}

/// 0 to 3 are verdicts to who runs it as a plugin of monitoring.
#[test]
fn a_wrong_flag_of_check_is_no_verdict() {
    for arguments in [&["check", "--nonsense"][..], &["check", "--agent=http://127.0.0.1:1", "--window=1s"]] {
        let output = highwater(arguments);
        assert_eq!(output.status.code(), Some(4), "{arguments:?}");
        assert!(stderr(&output).contains("Usage: highwater check"), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
    assert_eq!(highwater(&["explain", "--nonsense"]).status.code(), Some(2));
    let output = highwater(&["check", "--help"]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn version_and_help_are_there() {
    let version = String::from_utf8(highwater(&["--version"]).stdout).unwrap();
    assert_eq!(version, format!("highwater {}\n", env!("CARGO_PKG_VERSION")));
    let help = String::from_utf8(highwater(&["--help"]).stdout).unwrap();
    for word in ["run", "check", "demo", "--config.file", "--web.listen-address", "--path.procfs"] {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn completions_are_there_for_every_shell_and_name_every_command_and_flag() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = highwater(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let text = String::from_utf8(output.stdout).unwrap();
        for word in ["check", "explain", "replay", "backtest", "demo", "completions", "man", "if-write", "agent"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
        if shell == "bash"
            && let Some((good, said)) = tools::output_of("bash", &["-n"], &text)
        {
            assert!(good && said.is_empty(), "{said}");
        }
    }
    assert_eq!(highwater(&["completions", "tcsh"]).status.code(), Some(2));
}

#[test]
fn manual_pages_are_printed_or_written_one_for_each_command() {
    let page = String::from_utf8(highwater(&["man"]).stdout).unwrap();
    assert!(page.contains(".TH highwater 1"), "{page}");
    assert!(page.contains("\\-\\-web.listen\\-address"), "{page}");
    let directory = TempDir::new().unwrap();
    let written = directory.path().join("man1");
    let output = highwater(&["man", written.to_str().unwrap()]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0), "{}", stderr(&output));
    for command in ["highwater", "highwater-check", "highwater-explain", "highwater-demo"] {
        let page = fs::read_to_string(written.join(format!("{command}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {command} 1")), "{page}");
    }
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let output = highwater(&["man", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let says = format!("highwater: cannot write manual pages into {}: ", file.display());
    assert!(stderr(&output).starts_with(&says), "{}", stderr(&output));
}

#[test]
fn a_check_of_this_machine_prints_the_same_layers_as_table_and_as_json() {
    let quick = ["check", "--window", "0s", "--usage.timeout", "0s"];
    let table = highwater(&quick);
    let code = table.status.code().unwrap();
    assert!(code <= 3, "{}", stderr(&table));
    let text = String::from_utf8(table.stdout).unwrap();
    let last = text.lines().last().unwrap();
    assert_eq!(last, ["OK", "WARNING", "CRITICAL", "UNKNOWN"][usize::try_from(code).unwrap()]);

    let json = highwater(&[&quick[..], &["-o", "json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let layers = json["layers"].as_array().unwrap();
    assert!(!layers.is_empty());
    let host = layers.iter().find(|layer| layer["layer"] == "host").unwrap();
    assert_eq!(host["kind"], "host");
    assert!(text.lines().any(|line| line.starts_with("host ")), "{text}");
}
