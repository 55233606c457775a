//! `/proc/PID/cmdline`: arguments, and the flags of Go programs in them.

/// The arguments of a process, made valid UTF-8. A process may overwrite them; kernels and programs may cut them.
pub fn argv(cmdline: &[u8]) -> Vec<String> {
    let trimmed = cmdline.strip_suffix(b"\0").unwrap_or(cmdline);
    if trimmed.is_empty() {
        return Vec::new();
    }
    trimmed.split(|b| *b == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

/// Every value of a flag, in order, in the forms `--name value`, `--name=value`, `-name value` and `-name=value`.
pub fn flag_values<'a>(argv: &'a [String], names: &[&str]) -> Vec<&'a str> {
    let mut values = Vec::new();
    let mut arguments = argv.iter().skip(1);
    while let Some(argument) = arguments.next() {
        let Some(bare) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else { continue };
        match bare.split_once('=') {
            Some((name, value)) if names.contains(&name) => values.push(value),
            None if names.contains(&bare) => values.extend(arguments.next().map(String::as_str)),
            _ => {}
        }
    }
    values
}

/// The last value of a flag, which is the one that counts.
pub fn flag<'a>(argv: &'a [String], names: &[&str]) -> Option<&'a str> {
    flag_values(argv, names).pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_in_all_four_forms() {
        let argv = argv(
            b"containerd\0-c\0/a.toml\0--address=/run/x.sock\0-root\0/data\0-log-level=debug\0--address\0/run/y.sock\0",
        );
        assert_eq!(flag(&argv, &["config", "c"]), Some("/a.toml"));
        assert_eq!(flag(&argv, &["address", "a"]), Some("/run/y.sock"));
        assert_eq!(flag(&argv, &["root"]), Some("/data"));
        assert_eq!(flag(&argv, &["log-level"]), Some("debug"));
        assert_eq!(flag(&argv, &["state"]), None);
    }

    #[test]
    fn a_flag_at_the_end_without_value_is_absent() {
        assert_eq!(flag(&argv(b"dockerd\0--data-root"), &["data-root"]), None);
        assert_eq!(argv(b""), Vec::<String>::new());
    }
}
