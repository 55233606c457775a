//! What do files with arguments say? Words as a shell splits them, with the variables of the process in them.
//!
//! The snaps of microk8s and others keep the flags of a kubelet in such a file. Mirrors canonical/microk8s
//! `microk8s-resources/wrappers/run-kubelite-with-args`.

use std::collections::BTreeMap;

/// More than any such file has.
const MAX_WORDS: usize = 1_000;

/// The words of a file: quotes hold spaces, `#` at the start of a word begins a comment, `$NAME` and `${NAME}` outside of single quotes
/// stand for a variable; one that is not set is empty. `environment` is `None` where it cannot be read.
///
/// # Errors
/// A variable that is not known, a quote without end, more than 1,000 words; the text repeats nothing of the file.
pub(super) fn words(text: &str, environment: Option<&BTreeMap<String, String>>) -> Result<Vec<String>, &'static str> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match (character, quote) {
            (mark @ ('"' | '\''), None) => {
                quote = Some(mark);
                word.get_or_insert_default();
            }
            (mark, Some(open)) if mark == open => quote = None,
            ('$', None | Some('"')) => {
                let name = variable(&mut rest);
                let environment = environment.ok_or("the variables of the process cannot be read")?;
                word.get_or_insert_default().push_str(environment.get(&name).map_or("", String::as_str));
            }
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(rest.next()),
            ('#', None) if word.is_none() => while rest.next_if(|next| *next != '\n').is_some() {},
            (space, None) if space.is_whitespace() => words.extend(word.take()),
            (other, _) => word.get_or_insert_default().push(other),
        }
        if words.len() > MAX_WORDS {
            return Err("more arguments than are read");
        }
    }
    if quote.is_some() {
        return Err("a quote without end");
    }
    words.extend(word);
    Ok(words)
}

/// The name behind a `$`.
fn variable(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let braces = rest.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(next) = rest.next_if(|next| next.is_ascii_alphanumeric() || *next == '_') {
        name.push(next);
    }
    if braces {
        rest.next_if_eq(&'}');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn snap() -> BTreeMap<String, String> {
        [("SNAP_DATA", "/var/snap/microk8s/5"), ("SNAP_COMMON", "/var/snap/microk8s/common")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn a_file_is_split_as_a_shell_does() {
        let text = "# defaults\n--root-dir=${SNAP_COMMON}/var/lib/kubelet\n--eviction-hard=\"memory.available<100Mi, nodefs.available<1Gi\" \
                    --a='$SNAP_DATA'\n\n  --b $SNAP_DATA/x\\ y #comment\n--c=${NOT_SET}z --d=\"\"";
        assert_eq!(
            words(text, Some(&snap())).unwrap(),
            [
                "--root-dir=/var/snap/microk8s/common/var/lib/kubelet",
                "--eviction-hard=memory.available<100Mi, nodefs.available<1Gi",
                "--a=$SNAP_DATA",
                "--b",
                "/var/snap/microk8s/5/x y",
                "--c=z",
                "--d=",
            ]
        );
    }

    #[test]
    fn without_the_variables_only_a_file_without_any_is_understood() {
        assert_eq!(words("--v=2", None).unwrap(), ["--v=2"]);
        assert_eq!(words("--root-dir=$X", None), Err("the variables of the process cannot be read"));
        assert_eq!(words("--a=\"b", None), Err("a quote without end"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text: String) {
            assert_eq!(words(&text, Some(&snap())).is_ok(), words(&text, Some(&snap())).is_ok());
        }
    }
}
