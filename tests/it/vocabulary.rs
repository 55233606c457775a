//! Does what others read speak the field's language? Words that were ours, and that nobody would search for, must not come back: in
//! help texts, metrics, the page, JSON, documentation and the names of the library.

use clap::CommandFactory;
use highwater::cli::Cli;
use highwater::export::catalogue::Name;
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Ident, Visibility};

/// What is not written, and what is written instead. Words are compared without case and punctuation, and `_` counts as a space.
const PHRASES: &[(&str, &[&str])] = &[
    (
        "predicted, expected",
        &["foretold", "foretell", "foretells", "foretelling", "foresee", "foresees", "foreseen", "unforeseen"],
    ),
    ("triggers at, fires", &["strike", "strikes", "struck"]),
    (
        "image GC run, eviction manager sync",
        &["tick", "ticks", "gc pass", "eviction pass", "next pass", "kubelet's pass", "pass of the kubelet"],
    ),
    (
        "image GC run",
        &[
            "gc check",
            "next check",
            "kubelet's check",
            "check of the kubelet",
            "checks of the kubelet",
            "checks of a kubelet",
        ],
    ),
    ("image GC run", &["next look", "the kubelet looks", "look of the kubelet"]),
    (
        "threshold",
        &[
            "its line",
            "line is crossed",
            "line were crossed",
            "line is reached",
            "crossed the line",
            "crosses the line",
            "whose line lies",
            "line away",
        ],
    ),
    ("to free disk space", &["for want of space", "want of space"]),
    (
        "is deleted",
        &[
            "image goes",
            "images go",
            "image that goes",
            "images that go",
            "nothing goes",
            "who goes",
            "goes first",
            "goes last",
            "goes before",
            "goes from",
        ],
    ),
    ("certain", &["surely"]),
    ("preempted by", &["spared", "spares"]),
    ("candidate", &["contender", "contenders"]),
    ("exclusive bytes", &["holds alone", "hold alone", "held alone", "held bytes"]),
    ("sanitized", &["made harmless", "makes harmless", "make harmless"]),
    ("compressed", &["packed"]),
    ("source, agent to query, clients", &["whence", "whom to ask", "whom to look", "who asks"]),
    (
        "measure for five seconds",
        &[
            "looks once",
            "one look",
            "a look at",
            "look for five seconds",
            "looks for five seconds",
            "looks for a few seconds",
        ],
    ),
    ("sampling interval, polling interval", &["distance between two"]),
    ("evict, shed", &["send away", "sends away", "sent away"]),
    (
        "request handler, idle timeout, single-flight worker, timeouts",
        &["visitor", "visitors", "patience", "lane", "lanes", "converse"],
    ),
    ("any unambiguous part of the name", &["an end of it", "by an end of"]),
    ("median, interval", &["middle of the forecast", "middle forecast"]),
    ("Trade-off", &["price their space"]),
    ("as the kubelet reports it", &["kubelet's count", "as the kubelet counts"]),
    ("at your option", &["as you like"]),
];

/// Words that no name in the library has.
const NAMES: &[&str] = &[
    "foretold",
    "foreseen",
    "strike",
    "strikes",
    "surely",
    "perhaps",
    "contender",
    "fate",
    "spared",
    "grid",
    "visitor",
    "patient",
    "lane",
    "patience",
    "unclaimed",
    "whence",
    "tick",
    "harmless",
];

/// Types that do not exist, as whole names.
const WHOLE_NAMES: &[&str] = &["standing", "held", "place", "places", "door", "kept", "watched", "course", "ahead"];

/// Lower case, one space between words; an apostrophe is part of a word.
fn plain(text: &str) -> String {
    let letter = |c: char| {
        if c == '’' {
            '\''
        } else if c.is_alphanumeric() || c == '\'' {
            c
        } else {
            ' '
        }
    };
    let text: String = text.chars().map(letter).collect();
    format!(" {} ", text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase())
}

/// The phrases in a text, each with what stands around it and what to write.
fn found(place: &str, text: &str) -> Vec<String> {
    let text = plain(text);
    let mut hits = Vec::new();
    for (instead, phrases) in PHRASES {
        for phrase in *phrases {
            for (at, _) in text.match_indices(&format!(" {phrase} ")) {
                let from = text.char_indices().map(|(from, _)| from).find(|from| *from + 30 >= at).unwrap_or(0);
                let around: String = text[from..].chars().take(60 + phrase.len()).collect();
                hits.push(format!("{place}: \"{phrase}\" in \"...{around}...\"; write: {instead}"));
            }
        }
    }
    hits
}

fn files(folder: &Path, endings: &[&str], into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, endings, into);
        } else if path.extension().is_some_and(|ending| endings.iter().any(|known| *known == ending)) {
            into.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn assert_none(hits: &[String]) {
    assert!(hits.is_empty(), "{} words that are not the field's:\n{}", hits.len(), hits.join("\n"));
}

#[test]
fn help_and_metrics_use_the_words_of_the_field() {
    fn help(command: &mut clap::Command, hits: &mut Vec<String>) {
        let text = command.render_long_help().to_string();
        hits.extend(found(&format!("{} --help", command.get_name()), &text));
        for subcommand in command.get_subcommands_mut() {
            help(subcommand, hits);
        }
    }
    let mut hits = Vec::new();
    help(&mut Cli::command(), &mut hits);
    for name in Name::ALL {
        let metric = name.metric();
        hits.extend(found(metric.base, &format!("{} {}", metric.base, metric.help)));
    }
    assert_none(&hits);
}

#[test]
fn documentation_and_schemas_use_the_words_of_the_field() {
    let mut paths = vec![root().join("README.md")];
    files(&root().join("docs"), &["md", "json"], &mut paths);
    // What is being rewritten.
    paths.retain(|path| !path.ends_with("README.md"));
    let text = |path: &PathBuf| {
        found(&path.strip_prefix(root()).unwrap().to_string_lossy(), &fs::read_to_string(path).unwrap())
    };
    assert_none(&paths.iter().flat_map(text).collect::<Vec<_>>());
}

#[test]
fn what_is_printed_uses_the_words_of_the_field() {
    let mut paths = Vec::new();
    files(&root().join("tests/golden"), &["snap", "html", "txt", "json"], &mut paths);
    files(&root().join("src/export"), &["js", "html"], &mut paths);
    assert!(paths.len() > 5, "the golden files are there: {paths:?}");
    let text = |path: &PathBuf| {
        found(&path.strip_prefix(root()).unwrap().to_string_lossy(), &fs::read_to_string(path).unwrap())
    };
    assert_none(&paths.iter().flat_map(text).collect::<Vec<_>>());
}

/// The public names of a file.
#[derive(Default)]
struct PublicNames {
    names: Vec<String>,
}

impl PublicNames {
    fn note(&mut self, visibility: &Visibility, name: &Ident) {
        if matches!(visibility, Visibility::Public(_)) {
            self.names.push(name.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for PublicNames {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.note(&item.vis, &item.sig.ident);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.note(&item.vis, &item.sig.ident);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.note(&item.vis, &item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if let Some(name) = &field.ident {
            self.note(&field.vis, name);
        }
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.note(&item.vis, &item.ident);
        item.variants.iter().for_each(|variant| self.note(&item.vis, &variant.ident));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.note(&item.vis, &item.ident);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.note(&item.vis, &item.ident);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.note(&item.vis, &item.ident);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.note(&item.vis, &item.ident);
        visit::visit_item_mod(self, item);
    }
}

/// The words of `aName`, `AName` or `a_name`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if (c == '_' || c.is_uppercase()) && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c != '_') {
            word.extend(c.to_lowercase());
        }
    }
    words
}

#[test]
fn public_names_use_the_words_of_the_field() {
    let mut paths = Vec::new();
    files(&root().join("src"), &["rs"], &mut paths);
    let mut hits = Vec::new();
    for path in &paths {
        let mut public = PublicNames::default();
        public.visit_file(&syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap());
        let is_ours = |name: &&String| {
            let words = words(name);
            let is_type = name.starts_with(char::is_uppercase);
            words.iter().any(|word| NAMES.contains(&word.as_str()))
                || (is_type && WHOLE_NAMES.contains(&words.join("_").as_str()))
        };
        let place = path.strip_prefix(root()).unwrap().display();
        hits.extend(public.names.iter().filter(is_ours).map(|name| format!("{place}: {name}")));
    }
    assert_none(&hits);
}

#[test]
fn words_are_found_whatever_is_between_them() {
    assert_eq!(found("x", "an IMAGE\ngoes, `held_bytes`; unpacked").len(), 2);
    assert_eq!(found("x", "it goes on to the lines of a file, packaged").len(), 0);
    assert_eq!(words("nextGcTick"), ["next", "gc", "tick"]);
    assert_eq!(words("held_bytes"), ["held", "bytes"]);
}
