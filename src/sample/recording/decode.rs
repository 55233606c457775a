//! From lines to samples: every line changes what is in force, and a `sample` line says when all of it was seen.

use super::parts::{FilesystemParts, Item, Items, LayerParts, Parts};
use super::wire::{
    ConfigLine, FilesystemLine, GoneLine, HeaderLine, ImagesLine, LayerKey, LayerLine, Line, OrderLine, Read, fields,
};
use super::{FORMAT, FORMAT_VERSION, LINE_LIMIT, STATE_LIMIT};
use crate::layer::LayerId;
use crate::sample::Sample;
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// The most filesystems, and the most layers, at one time.
const MOST_PARTS: usize = 4_096;

/// Reads the lines of a recording one by one.
///
/// After an error everything up to the next header is passed over: what is in force is no longer known.
#[derive(Debug, Default)]
pub struct Decoder {
    parts: Parts,
    state: State,
    /// Bytes of lines since those in force were last counted.
    grown: usize,
    skipped: Skipped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// No header yet.
    #[default]
    Outside,
    /// After a header.
    Inside,
    /// After an error.
    Lost,
}

/// What was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Skipped {
    /// Lines of a type that is not known, from a newer writer.
    pub lines: u64,
    /// Fields that are not known, of lines that are.
    pub fields: u64,
    /// Lines between damage and the next header.
    pub lost: u64,
}

/// Why a line cannot be understood.
#[derive(Debug, Error)]
pub enum LineError {
    /// Not JSON, or not an object.
    #[error("the line is not a JSON object: {0}")]
    NotJson(Label),
    /// An object without a type.
    #[error("the line has no \"type\"")]
    NoType,
    /// A field is missing or has the wrong form.
    #[error("the {kind} line cannot be understood: {problem}")]
    Malformed {
        /// Its type.
        kind: Label,
        /// What is wrong; it repeats text of the line.
        problem: Label,
    },
    /// The file does not begin with a header.
    #[error(
        "a recording begins with a header line, {{\"type\":\"header\",\"format\":\"{FORMAT}\",\"version\":{FORMAT_VERSION}}}"
    )]
    NoHeader,
    /// A header of something else.
    #[error("the header names the format \"{0}\", not {FORMAT}")]
    Foreign(Label),
    /// Written by a newer version.
    #[error(
        "the recording has version {0} of the format and this highwater reads version {FORMAT_VERSION}: use a newer one"
    )]
    Newer(u32),
    /// A line about something that no line declared.
    #[error("the line is about {what} {name}, which no line before has declared")]
    Undeclared {
        /// A filesystem, or a layer.
        what: &'static str,
        /// Which.
        name: Label,
    },
    /// More than is held in memory.
    #[error("more is in force at one time than is held in memory: {STATE_LIMIT} bytes of lines, {MOST_PARTS} layers")]
    TooMuch,
    /// A line over the limit.
    #[error("the line is longer than {LINE_LIMIT} bytes")]
    TooLong,
}

impl Decoder {
    /// A decoder that has read nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was passed over so far.
    pub const fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// Whether everything up to the next header is passed over.
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// Says that lines are missing here: everything up to the next header is passed over.
    pub const fn lose(&mut self) {
        self.state = State::Lost;
    }

    /// Reads the next line, without its newline; a sample where the line ends one. Empty lines say nothing.
    ///
    /// # Errors
    /// A line that cannot be understood, once: what follows up to the next header is passed over without an error.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Sample>, LineError> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let result = self.read(line);
        if result.is_err() {
            self.state = State::Lost;
        }
        result
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Option<Sample>, LineError> {
        if bytes.len() > LINE_LIMIT {
            return self.or_lost(LineError::TooLong);
        }
        let object: serde_json::Map<String, Value> = match serde_json::from_slice(bytes) {
            Ok(object) => object,
            Err(error) => return self.or_lost(LineError::NotJson(Label::from(error.to_string()))),
        };
        let Some(kind) = object.get("type").and_then(Value::as_str).map(str::to_owned) else {
            return self.or_lost(LineError::NoType);
        };
        if self.state != State::Inside && kind != "header" {
            return self.or_lost(LineError::NoHeader);
        }
        let Some(known) = fields(&kind) else {
            self.skipped.lines = self.skipped.lines.saturating_add(1);
            return Ok(None);
        };
        let unknown = object.keys().filter(|name| *name != "type" && !known.contains(&name.as_str())).count();
        self.skipped.fields = self.skipped.fields.saturating_add(u64::try_from(unknown).unwrap_or(u64::MAX));
        let line: Line = serde_json::from_value(Value::Object(object)).map_err(|error| LineError::Malformed {
            kind: Label::new(&kind),
            problem: Label::from(error.to_string()),
        })?;
        self.grown = self.grown.saturating_add(bytes.len());
        let sample = self.apply(line, bytes.len())?;
        if self.grown > STATE_LIMIT / 4 {
            self.grown = 0;
            if self.parts.weight() > STATE_LIMIT {
                return Err(LineError::TooMuch);
            }
        }
        Ok(sample)
    }

    /// The error, unless it was to be expected after an earlier one.
    fn or_lost(&mut self, error: LineError) -> Result<Option<Sample>, LineError> {
        if self.state == State::Lost {
            self.skipped.lost = self.skipped.lost.saturating_add(1);
            return Ok(None);
        }
        Err(error)
    }

    fn apply(&mut self, line: Line, weight: usize) -> Result<Option<Sample>, LineError> {
        match line {
            Line::Header(line) => self.header(&line)?,
            Line::Filesystem(line) => self.declare_filesystem(line, weight)?,
            Line::Layer(line) => self.declare_layer(line, weight)?,
            Line::Space(line) => {
                let parts = known_filesystem(&mut self.parts, &line.filesystem)?;
                (parts.space, parts.weight[1]) = (line, weight);
            }
            Line::Usage(line) => {
                let parts = known_filesystem(&mut self.parts, &line.filesystem)?;
                (parts.usage, parts.weight[2]) = (line, weight);
            }
            Line::Sources(line) => {
                let parts = known_layer(&mut self.parts, &line.layer)?;
                (parts.sources, parts.weight[1]) = (line, weight);
            }
            Line::Kubelet(line) => {
                let parts = known_layer(&mut self.parts, &line.layer)?;
                (parts.kubelet, parts.weight[2]) = (Some(line), weight);
            }
            Line::Config(line) => config(known_layer(&mut self.parts, &line.layer)?, line, weight),
            Line::Images(line) => images(known_layer(&mut self.parts, &line.layer)?, line, weight),
            Line::Image(line) => insert(&mut known_layer(&mut self.parts, &line.layer)?.image, line.item, weight),
            Line::Container(line) => {
                insert(&mut known_layer(&mut self.parts, &line.layer)?.container, line.item, weight);
            }
            Line::Pod(line) => insert(&mut known_layer(&mut self.parts, &line.layer)?.pod, line.item, weight),
            Line::Gone(line) => self.gone(&line)?,
            Line::Order(line) => self.order(&line),
            Line::Sample(line) => return Ok(Some(self.parts.sample(line.at.timestamp()))),
        }
        Ok(None)
    }
}

impl Decoder {
    /// Begins anew.
    fn header(&mut self, line: &HeaderLine) -> Result<(), LineError> {
        if line.format != FORMAT {
            return Err(LineError::Foreign(Label::new(&line.format)));
        }
        if line.version > FORMAT_VERSION {
            return Err(LineError::Newer(line.version));
        }
        self.parts = Parts::default();
        self.state = State::Inside;
        Ok(())
    }

    fn declare_filesystem(&mut self, line: FilesystemLine, weight: usize) -> Result<(), LineError> {
        if let Some(parts) = self.parts.filesystem(&line.filesystem) {
            (parts.declared, parts.weight[0]) = (line, weight);
            return Ok(());
        }
        if self.parts.filesystems.len() >= MOST_PARTS {
            return Err(LineError::TooMuch);
        }
        let mut parts = FilesystemParts::new(line);
        parts.weight[0] = weight;
        self.parts.filesystems.push(parts);
        Ok(())
    }

    fn declare_layer(&mut self, line: LayerLine, weight: usize) -> Result<(), LineError> {
        for filesystem in [&line.imagefs, &line.nodefs] {
            if let Some(Read::Plain(key) | Read::Dated { value: key, .. }) = filesystem {
                known_filesystem(&mut self.parts, key)?;
            }
        }
        if let Some(parts) = self.parts.layer(&line.layer) {
            (parts.declared, parts.weight[0]) = (line, weight);
            return Ok(());
        }
        if self.parts.layers.len() >= MOST_PARTS {
            return Err(LineError::TooMuch);
        }
        let mut parts = LayerParts::new(line);
        parts.weight[0] = weight;
        self.parts.layers.push(parts);
        Ok(())
    }

    /// Takes away what a `gone` line names; what is not there stays away.
    fn gone(&mut self, line: &GoneLine) -> Result<(), LineError> {
        if let Some(filesystem) = &line.filesystem {
            self.parts.filesystems.retain(|parts| parts.declared.filesystem != *filesystem);
        }
        let Some(layer) = &line.layer else { return Ok(()) };
        let parts = known_layer(&mut self.parts, layer)?;
        let mut whole = true;
        if line.kubelet {
            whole = false;
            parts.kubelet = None;
            parts.config = ConfigLine { layer: layer.clone(), ..ConfigLine::default() };
        }
        if let Some(id) = &line.image {
            whole = false;
            parts.image.remove(id.as_str());
        }
        if let Some(id) = &line.container {
            whole = false;
            parts.container.remove(id.as_str());
        }
        if let Some(id) = &line.pod {
            whole = false;
            parts.pod.remove(id.as_str());
        }
        if whole {
            self.parts.layers.retain(|parts| parts.declared.layer != layer.0);
        }
        Ok(())
    }

    /// Sorts; what is not named comes last, in the order it has.
    fn order(&mut self, line: &OrderLine) {
        fn place<T: PartialEq>(order: &[T], key: &T) -> usize {
            order.iter().position(|known| known == key).unwrap_or(order.len())
        }
        if !line.filesystems.is_empty() {
            self.parts.filesystems.sort_by_cached_key(|parts| place(&line.filesystems, &parts.declared.filesystem));
        }
        if !line.layers.is_empty() {
            self.parts.layers.sort_by_cached_key(|parts| place(&line.layers, &parts.declared.layer));
        }
    }
}

fn known_filesystem<'a>(parts: &'a mut Parts, key: &str) -> Result<&'a mut FilesystemParts, LineError> {
    parts.filesystem(key).ok_or_else(|| LineError::Undeclared { what: "the filesystem", name: Label::new(key) })
}

fn known_layer<'a>(parts: &'a mut Parts, key: &LayerKey) -> Result<&'a mut LayerParts, LineError> {
    let name = |id: &LayerId| Label::new(id.as_str());
    parts.layer(&key.0).ok_or_else(|| LineError::Undeclared { what: "the layer", name: name(&key.0) })
}

fn config(parts: &mut LayerParts, line: ConfigLine, weight: usize) {
    if line.unchanged {
        parts.config.at = line.at;
        return;
    }
    let known = line.absence.absence().is_none();
    (parts.config, parts.weight[3]) = (ConfigLine { known, ..line }, weight);
}

fn images(parts: &mut LayerParts, line: ImagesLine, weight: usize) {
    let absent = line.absence.absence().is_some();
    if absent {
        parts.image.clear();
        parts.container.clear();
        parts.pod.clear();
    }
    let complete = (!absent).then(|| line.complete.unwrap_or(true));
    (parts.images, parts.weight[4]) = (ImagesLine { complete, ..line }, weight);
}

fn insert<T: Item>(items: &mut Items<T>, item: T, weight: usize) {
    items.insert(item.key().to_owned(), (item, weight));
}
