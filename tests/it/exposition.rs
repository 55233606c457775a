//! A second reader of the text formats, strict and only for tests: what it returns is what a scraper would store.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Labels = BTreeMap<String, String>;

/// Every sample of a scrape in either format.
///
/// # Errors
///
/// Says what is wrong with which line: a sample before its TYPE, a broken label, a number that is none, a series twice.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, Labels, f64)>, String> {
    let mut samples = Vec::new();
    let mut seen = BTreeSet::new();
    let mut family = "";
    for line in text.lines() {
        let wrong = |what: &str| format!("{what}: {line}");
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split(' ').next().unwrap_or_default();
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let end = line.find(['{', ' ']).ok_or_else(|| wrong("no value"))?;
        let (name, rest) = line.split_at(end);
        if !name.starts_with(family) || family.is_empty() {
            return Err(wrong("sample outside its family"));
        }
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest).ok_or_else(|| wrong("broken labels"))?,
            None => (Labels::new(), rest),
        };
        let value = rest.strip_prefix(' ').ok_or_else(|| wrong("no space before the value"))?;
        let value: f64 = value.parse().map_err(|_| wrong("not a number"))?;
        if !seen.insert((name.to_owned(), labels.clone())) {
            return Err(wrong("series twice"));
        }
        samples.push((name.to_owned(), labels, value));
    }
    Ok(samples)
}

fn labels(text: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    let mut rest = text;
    if let Some(after) = rest.strip_prefix('}') {
        return Some((labels, after));
    }
    loop {
        let (name, value) = rest.split_once("=\"")?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            return None;
        }
        let mut clean = String::new();
        let mut characters = value.chars();
        loop {
            match characters.next()? {
                '"' => break,
                '\\' => clean.push(match characters.next()? {
                    'n' => '\n',
                    same @ ('\\' | '"') => same,
                    _ => return None,
                }),
                other => clean.push(other),
            }
        }
        if labels.insert(name.to_owned(), clean).is_some() {
            return None;
        }
        rest = characters.as_str();
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        rest = rest.strip_prefix(',')?;
    }
}
