//! From samples to lines: everything for the first, then only what is different.

use super::parts::{FilesystemParts, Item, Items, LayerParts, Parts};
use super::wire::{
    ConfigLine, FilesystemLine, GoneLine, HeaderLine, ItemLine, LayerKey, Line, OrderLine, SampleLine, Time, UsageLine,
};
use super::{FORMAT, FORMAT_VERSION, LINE_LIMIT};
use crate::sample::{Absence, AbsenceReason, Sample};
use crate::untrusted::Label;

/// Writes samples as lines. What it writes first, and after [`Encoder::restart`], stands for itself.
///
/// Lists of a runtime are written, and so come back, in the order of their ids. Times before 1970 or after 2106 become these
/// bounds, and an item with more than 1,000 names is left out and its listing called incomplete.
#[derive(Debug)]
pub struct Encoder {
    writer: Label,
    /// What the lines so far say; `None` before the header.
    written: Option<Parts>,
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
        let mut now = Parts::of(sample);
        let mut out = Lines(out);
        let before = self.written.take().unwrap_or_else(|| {
            out.push(&Line::Header(HeaderLine {
                format: FORMAT.to_owned(),
                version: FORMAT_VERSION,
                writer: self.writer.clone(),
            }));
            Parts::default()
        });
        differences(&before, &mut now, &mut out);
        out.push(&Line::Sample(SampleLine { at: Time::of(sample.at) }));
        self.written = Some(now);
    }
}

struct Lines<'a>(&'a mut Vec<u8>);

impl Lines<'_> {
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

fn differences(before: &Parts, now: &mut Parts, out: &mut Lines<'_>) {
    for gone in &before.filesystems {
        if now.filesystem(&gone.declared.filesystem).is_none() {
            let filesystem = Some(gone.declared.filesystem.clone());
            out.push(&Line::Gone(GoneLine { filesystem, ..GoneLine::default() }));
        }
    }
    for gone in &before.layers {
        if now.layer(&gone.declared.layer).is_none() {
            let layer = Some(LayerKey(gone.declared.layer.clone()));
            out.push(&Line::Gone(GoneLine { layer, ..GoneLine::default() }));
        }
    }
    for filesystem in &mut now.filesystems {
        let key = &filesystem.declared.filesystem;
        let known = before.filesystems.iter().find(|known| known.declared.filesystem == *key);
        filesystem_differences(known, filesystem, out);
    }
    for layer in &mut now.layers {
        let known = before.layers.iter().find(|known| known.declared.layer == layer.declared.layer);
        layer_differences(known, layer, out);
    }
    order(before, now, out);
}

fn filesystem_differences(before: Option<&FilesystemParts>, now: &mut FilesystemParts, out: &mut Lines<'_>) {
    if before.is_none_or(|before| before.declared != now.declared) {
        out.push(&Line::Filesystem(now.declared.clone()));
    }
    let fresh = FilesystemParts::new(FilesystemLine { ..now.declared.clone() });
    let before = before.unwrap_or(&fresh);
    if before.space != now.space {
        out.push(&Line::Space(now.space.clone()));
    }
    if before.usage != now.usage && !out.push(&Line::Usage(now.usage.clone())) {
        now.usage = UsageLine { filesystem: now.usage.filesystem.clone(), ..UsageLine::default() };
        now.usage.absence = (&too_large()).into();
        if before.usage != now.usage {
            out.push(&Line::Usage(now.usage.clone()));
        }
    }
}

fn too_large() -> Absence {
    Absence::new(AbsenceReason::TooLarge, "too long for a line of a recording")
}

fn layer_differences(before: Option<&LayerParts>, now: &mut LayerParts, out: &mut Lines<'_>) {
    if before.is_none_or(|before| before.declared != now.declared) {
        out.push(&Line::Layer(now.declared.clone()));
    }
    let fresh = LayerParts::new(now.declared.clone());
    let mut before = before.unwrap_or(&fresh);
    if before.sources != now.sources {
        out.push(&Line::Sources(now.sources.clone()));
    }
    let key = LayerKey(now.declared.layer.clone());
    if before.kubelet != now.kubelet {
        match &now.kubelet {
            Some(kubelet) => out.push(&Line::Kubelet(kubelet.clone())),
            None => out.push(&Line::Gone(GoneLine { layer: Some(key.clone()), kubelet: true, ..GoneLine::default() })),
        };
    }
    if now.kubelet.is_some() {
        config_differences(&before.config, &mut now.config, out);
    }
    if now.images.absence.absence().is_some() {
        // This line drops whatever was listed.
        if before.images != now.images {
            out.push(&Line::Images(now.images.clone()));
        }
        return;
    }
    if before.images.absence.absence().is_some() {
        before = &fresh;
    }
    let mut whole = item_differences(&key, &before.image, &mut now.image, Line::Image, gone_image, out);
    whole &= item_differences(&key, &before.container, &mut now.container, Line::Container, gone_container, out);
    whole &= item_differences(&key, &before.pod, &mut now.pod, Line::Pod, gone_pod, out);
    if !whole {
        now.images.complete = Some(false);
    }
    if before.images != now.images {
        out.push(&Line::Images(now.images.clone()));
    }
}

fn config_differences(before: &ConfigLine, now: &mut ConfigLine, out: &mut Lines<'_>) {
    if before == now {
        return;
    }
    let same = before.known && now.known && before.config == now.config;
    if same {
        out.push(&Line::Config(ConfigLine {
            layer: now.layer.clone(),
            at: now.at,
            unchanged: true,
            ..ConfigLine::default()
        }));
    } else if !out.push(&Line::Config(now.clone())) {
        *now = ConfigLine { layer: now.layer.clone(), absence: (&too_large()).into(), ..ConfigLine::default() };
        if before != now {
            out.push(&Line::Config(now.clone()));
        }
    }
}

fn gone_image(key: &str) -> GoneLine {
    GoneLine { image: Some(Label::new(key)), ..GoneLine::default() }
}

fn gone_container(key: &str) -> GoneLine {
    GoneLine { container: Some(Label::new(key)), ..GoneLine::default() }
}

fn gone_pod(key: &str) -> GoneLine {
    GoneLine { pod: Some(Label::new(key)), ..GoneLine::default() }
}

/// Writes what came, changed or went; false where an item does not fit into a line.
fn item_differences<T: Item>(
    layer: &LayerKey,
    before: &Items<T>,
    now: &mut Items<T>,
    line: fn(ItemLine<T>) -> Line,
    gone: fn(&str) -> GoneLine,
    out: &mut Lines<'_>,
) -> bool {
    let had = now.len();
    now.retain(|key, (item, _)| {
        let same = before.get(key).is_some_and(|(known, _)| known == item);
        same || out.push(&line(ItemLine { layer: layer.clone(), item: item.clone() }))
    });
    for key in before.keys().filter(|key| !now.contains_key(*key)) {
        out.push(&Line::Gone(GoneLine { layer: Some(layer.clone()), ..gone(key) }));
    }
    now.len() == had
}

/// What is new comes last; where it does not belong there the order is written down.
fn order(before: &Parts, now: &Parts, out: &mut Lines<'_>) {
    fn by_lines<T: PartialEq + Clone>(before: &[T], now: &[T]) -> Option<Vec<T>> {
        let stays = before.iter().filter(|key| now.contains(key));
        let comes = now.iter().filter(|key| !before.contains(key));
        (!stays.chain(comes).eq(now.iter())).then(|| now.to_vec())
    }
    let filesystems = |parts: &Parts| -> Vec<String> {
        parts.filesystems.iter().map(|parts| parts.declared.filesystem.clone()).collect()
    };
    let layers = |parts: &Parts| -> Vec<_> { parts.layers.iter().map(|parts| parts.declared.layer.clone()).collect() };
    let line = OrderLine {
        filesystems: by_lines(&filesystems(before), &filesystems(now)).unwrap_or_default(),
        layers: by_lines(&layers(before), &layers(now)).unwrap_or_default(),
    };
    if line != OrderLine::default() {
        out.push(&Line::Order(line));
    }
}
