//! From samples to lines: everything for the first, then only what is different.

use super::format::{FORMAT, FORMAT_VERSION, LINE_LIMIT};
use super::in_force::{InForce, Lines};
use super::line::{Gone, Key, Kind, Line, Owner};
use crate::sample::{AbsenceReason, KubeletConfig, Reading, Sample};
use crate::untrusted::Label;

/// Writes samples as lines. What it writes first, and after [`Encoder::restart`], stands for itself.
///
/// Lists of a runtime are written, and so come back, in the order of their ids. Times before 1970 or after 2106 become these
/// bounds; a list that is newer than its sample, since it came in meanwhile, gets the time of the sample; and an item that is
/// too long for a line is left out and its list called incomplete.
#[derive(Debug)]
pub struct Encoder {
    writer: Label,
    /// What the lines so far say; `None` before the header.
    written: Option<InForce>,
}

impl Encoder {
    /// An encoder that has written nothing; `writer` is for the header, a program and its version.
    pub fn new(writer: &str) -> Self {
        Self { writer: Label::new(writer), written: None }
    }

    /// The next lines begin anew, with a header: in another file, or where earlier lines may be lost.
    pub fn restart(&mut self) {
        self.written = None;
    }

    /// Appends the lines that `sample` takes, each with its newline.
    pub fn encode(&mut self, sample: &Sample, out: &mut Vec<u8>) {
        let at = sample.at;
        let mut sample = sample.clone();
        for layer in &mut sample.layers {
            layer.images.redate(|listed| listed.min(at));
        }
        let mut now = InForce::of(sample);
        let mut out = Out(out);
        let before = self.written.take().unwrap_or_else(|| {
            let (format, writer) = (FORMAT.to_owned(), self.writer.clone());
            out.push(&Line::Header { format, version: FORMAT_VERSION, writer });
            InForce::default()
        });
        for (owner, _) in &before.owners {
            if now.lines(owner).is_none() {
                out.push(&Line::Gone(gone_owner(owner)));
            }
        }
        let nothing = Lines::new();
        for (owner, lines) in &mut now.owners {
            differences(owner, before.lines(owner).unwrap_or(&nothing), lines, &mut out);
        }
        order(&before, &now, &mut out);
        out.push(&Line::Sample { at });
        self.written = Some(now);
    }
}

struct Out<'a>(&'a mut Vec<u8>);

impl Out<'_> {
    /// Appends a line; false where it is longer than a line may be, and then nothing is appended.
    fn push(&mut self, line: &Line) -> bool {
        let begin = self.0.len();
        // Strings, numbers and maps with string keys always have a JSON form, and memory takes any.
        let written = serde_json::to_writer(&mut *self.0, line).is_ok();
        if !written || self.0.len() - begin > LINE_LIMIT {
            self.0.truncate(begin);
            return false;
        }
        self.0.push(b'\n');
        true
    }
}

/// Writes what came, changed or went of one filesystem or layer. What is too long for a line becomes absent.
fn differences(owner: &Owner, before: &Lines, now: &mut Lines, out: &mut Out<'_>) {
    let drops_lists = now.values().any(|(line, _)| matches!(line, Line::Images { store: Reading::Absent(_), .. }));
    for key in before.keys().filter(|key| !now.contains_key(*key)) {
        if !drops_lists || key.0 == Kind::Kubelet {
            push_gone(owner, key, out);
        }
    }
    let mut whole = true;
    now.retain(|key, (line, _)| {
        if let Line::Images { store: Reading::Present { value, .. }, .. } = line {
            value.complete &= whole;
        }
        let known = before.get(key).map(|(known, _)| known);
        if known == Some(line) || out.push(unchanged(known, line).as_ref().unwrap_or(line)) {
            return true;
        }
        match line {
            Line::Usage { usage, .. } => *usage = too_long(),
            Line::Config { config, .. } => **config = too_long(),
            _ => {
                whole = false;
                if known.is_some() {
                    push_gone(owner, key, out);
                }
                return false;
            }
        }
        known == Some(line) || out.push(line)
    });
}

/// The short form of a configuration that was read again and is the same.
fn unchanged(before: Option<&Line>, now: &Line) -> Option<Line> {
    let (Some(Line::Config { config: before, .. }), Line::Config { layer, config, .. }) = (before, now) else {
        return None;
    };
    let Reading::Present { at, .. } = **config else { return None };
    (before.value() == config.value()).then(|| {
        let config = Box::new(Reading::present(KubeletConfig::default(), at));
        Line::Config { layer: layer.clone(), config, unchanged: true }
    })
}

fn too_long<T>() -> Reading<T> {
    Reading::absent(AbsenceReason::TooLarge, "too long for a line of a recording")
}

fn gone_owner(owner: &Owner) -> Gone {
    match owner {
        Owner::Filesystem(name) => Gone { filesystem: Some(name.clone()), ..Gone::default() },
        Owner::Layer(id) => Gone { layer: Some(id.clone()), ..Gone::default() },
    }
}

/// The settings go with their kubelet, and the rest with its filesystem or layer.
fn push_gone(owner: &Owner, (kind, id): &Key, out: &mut Out<'_>) {
    let (gone, id) = (gone_owner(owner), Some(Label::new(id)));
    let gone = match kind {
        Kind::Kubelet => Gone { kubelet: true, ..gone },
        Kind::Image => Gone { image: id, ..gone },
        Kind::Container => Gone { container: id, ..gone },
        Kind::Pod => Gone { pod: id, ..gone },
        _ => return,
    };
    out.push(&Line::Gone(gone));
}

/// What is new comes last; where it does not belong there the order is written down.
fn order(before: &InForce, now: &InForce, out: &mut Out<'_>) {
    fn by_lines<T: PartialEq>(before: &[T], now: Vec<T>) -> Vec<T> {
        let stays = before.iter().filter(|name| now.contains(name));
        let comes = now.iter().filter(|name| !before.contains(name));
        if stays.chain(comes).eq(now.iter()) { Vec::new() } else { now }
    }
    let filesystems = by_lines(&before.filesystems(), now.filesystems());
    let layers = by_lines(&before.layers(), now.layers());
    if !filesystems.is_empty() || !layers.is_empty() {
        out.push(&Line::Order { filesystems, layers });
    }
}
