//! From lines to samples: every line changes what is in force, and a `sample` line says when all of it was seen.

use super::format::{FORMAT, FORMAT_VERSION, LINE_LIMIT, STATE_LIMIT};
use super::in_force::{InForce, Lines};
use super::line::{Field, Gone, Kind, Line, Owner, fields};
use crate::layer::LayerId;
use crate::sample::{AbsenceReason, Reading, Sample};
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use crate::untrusted::Label;
use serde_json::{Map, Value};
use std::mem::discriminant;
use thiserror::Error;

/// The most filesystems, and the most layers, at one time.
const MOST_OWNERS: usize = 4_096;

/// Reads the lines of a recording one by one.
///
/// After an error everything up to the next header is passed over: what is in force is no longer known.
#[derive(Debug, Default)]
pub struct Decoder {
    in_force: InForce,
    state: State,
    /// When the last sample since the header was taken.
    sampled: Option<Timestamp>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
    /// Two samples of one time.
    #[error("this sample has the same time as the one before it: {0}")]
    SameTime(Timestamp),
    /// A list from the future.
    #[error("the images of layer {layer} were listed {} s after this sample", .by.as_secs_f64())]
    ListedLater {
        /// Whose images.
        layer: LayerId,
        /// How much later.
        by: Span,
    },
    /// More than is held in memory.
    #[error("more is in force at one time than is held in memory: {STATE_LIMIT} bytes of lines, {MOST_OWNERS} layers")]
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
        let mut object: Map<String, Value> = match serde_json::from_slice(bytes) {
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
        let unknown =
            object.keys().filter(|name| *name != "type" && known.split(' ').all(|known| known != *name)).count();
        self.skipped.fields = self.skipped.fields.saturating_add(u64::try_from(unknown).unwrap_or(u64::MAX));
        self.complete(&kind, &mut object)?;
        let line: Line = serde_json::from_value(Value::Object(object)).map_err(|error| LineError::Malformed {
            kind: Label::new(&kind),
            problem: Label::from(error.to_string()),
        })?;
        self.grown = self.grown.saturating_add(bytes.len());
        let sample = self.apply(line, bytes.len())?;
        if self.grown > STATE_LIMIT / 4 {
            self.grown = 0;
            if self.in_force.weight() > STATE_LIMIT {
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

    /// Adds to a line what it leaves out and what other lines, or other fields, say.
    fn complete(&self, kind: &str, line: &mut Map<String, Value>) -> Result<(), LineError> {
        match kind {
            "layer" => {
                let kind = if is_missing(line, "parent") { "host" } else { "node_container" };
                or_else(line, "kind", kind.into());
            }
            "space" => {
                or_not_recorded(line, "available");
                if let Some(name) = line.get("filesystem").and_then(Value::as_str) {
                    let owner = || Owner::Filesystem(name.to_owned());
                    let id = self.in_force.id(name).ok_or_else(|| undeclared(&owner()))?;
                    or_else(line, "capacity", id.capacity.get().into());
                    or_else(line, "files", id.files.get().into());
                }
                for (field, same) in [("free", "available"), ("files_free", "files")] {
                    let value = line.get(same).cloned().unwrap_or_default();
                    or_else(line, field, value);
                }
            }
            "usage" => or_not_recorded(line, "used"),
            _ => {}
        }
        Ok(())
    }

    fn apply(&mut self, line: Line, weight: usize) -> Result<Option<Sample>, LineError> {
        match line {
            Line::Header { format, version, .. } => self.header(&format, version)?,
            Line::Gone(gone) => self.gone(&gone)?,
            Line::Order { filesystems, layers } => self.order(&filesystems, &layers),
            Line::Sample { at } => return self.sample(at).map(Some),
            line => self.put(line, weight)?,
        }
        Ok(None)
    }
}

impl Decoder {
    /// Begins anew.
    fn header(&mut self, format: &str, version: u32) -> Result<(), LineError> {
        if format != FORMAT {
            return Err(LineError::Foreign(Label::new(format)));
        }
        if version > FORMAT_VERSION {
            return Err(LineError::Newer(version));
        }
        (self.in_force, self.sampled, self.state) = (InForce::default(), None, State::Inside);
        Ok(())
    }

    fn sample(&mut self, at: Timestamp) -> Result<Sample, LineError> {
        if self.sampled.replace(at) == Some(at) {
            return Err(LineError::SameTime(at));
        }
        let sample = self.in_force.sample(at);
        for layer in &sample.layers {
            if let Reading::Present { at: listed, .. } = layer.images
                && listed > at
            {
                return Err(LineError::ListedLater { layer: layer.id.clone(), by: listed.since(at) });
            }
        }
        Ok(sample)
    }

    /// Puts a line in force, in place of the one before.
    fn put(&mut self, mut line: Line, weight: usize) -> Result<(), LineError> {
        let Some((owner, key)) = line.key() else { return Ok(()) };
        if let Line::Layer { imagefs, nodefs, .. } = &line {
            for field in [imagefs, nodefs] {
                if let Some(Field::Plain(name) | Field::Dated { value: name, .. }) = field {
                    self.declared(&Owner::Filesystem(name.clone()))?;
                }
            }
        }
        if key.0 == Kind::Declared && self.in_force.lines(&owner).is_none() {
            let of_this_kind = |known: &&(Owner, _)| discriminant(&known.0) == discriminant(&owner);
            if self.in_force.owners.iter().filter(of_this_kind).count() >= MOST_OWNERS {
                return Err(LineError::TooMuch);
            }
            self.in_force.owners.push((owner.clone(), Lines::new()));
        }
        let lines = self.declared(&owner)?;
        match &mut line {
            Line::Space { space, .. } if space.value().is_some_and(|space| space.capacity == Bytes::ZERO) => {
                *space = Reading::absent(AbsenceReason::Malformed, "the recorded capacity is 0");
            }
            Line::Config { config, unchanged: true, .. } => {
                if let (Some((Line::Config { config: known, .. }, _)), Reading::Present { at, .. }) =
                    (lines.get_mut(&key), &**config)
                {
                    known.redate(|_| *at);
                }
                return Ok(());
            }
            Line::Images { store: Reading::Absent(_), .. } => {
                lines.retain(|(kind, _), _| !matches!(kind, Kind::Image | Kind::Container | Kind::Pod));
            }
            _ => {}
        }
        lines.insert(key, (line, weight));
        Ok(())
    }

    fn declared(&mut self, owner: &Owner) -> Result<&mut Lines, LineError> {
        self.in_force.lines_mut(owner).ok_or_else(|| undeclared(owner))
    }

    /// Takes away what a `gone` line names; what is not there stays away.
    fn gone(&mut self, gone: &Gone) -> Result<(), LineError> {
        if let Some(name) = &gone.filesystem {
            self.in_force.owners.retain(|(owner, _)| !matches!(owner, Owner::Filesystem(known) if known == name));
        }
        let Some(layer) = &gone.layer else { return Ok(()) };
        let lines = self.declared(&Owner::Layer(layer.clone()))?;
        let mut whole = !gone.kubelet;
        if gone.kubelet {
            lines.retain(|(kind, _), _| !matches!(kind, Kind::Kubelet | Kind::Config));
        }
        for (kind, id) in [(Kind::Image, &gone.image), (Kind::Container, &gone.container), (Kind::Pod, &gone.pod)] {
            if let Some(id) = id {
                whole = false;
                lines.remove(&(kind, id.as_str().to_owned()));
            }
        }
        if whole {
            self.in_force.owners.retain(|(owner, _)| !matches!(owner, Owner::Layer(known) if known == layer));
        }
        Ok(())
    }

    /// Sorts; what is not named comes last, in the order it has.
    fn order(&mut self, filesystems: &[String], layers: &[LayerId]) {
        fn place<T: PartialEq>(order: &[T], name: &T) -> usize {
            order.iter().position(|known| known == name).unwrap_or(order.len())
        }
        // Filesystems and layers are told apart later: without an order all of a kind have the same place.
        self.in_force.owners.sort_by_cached_key(|(owner, _)| match owner {
            Owner::Filesystem(name) => (0, place(filesystems, name)),
            Owner::Layer(id) => (1, place(layers, id)),
        });
    }
}

fn undeclared(owner: &Owner) -> LineError {
    let (what, name) = match owner {
        Owner::Filesystem(name) => ("the filesystem", name.as_str()),
        Owner::Layer(id) => ("the layer", id.as_str()),
    };
    LineError::Undeclared { what, name: Label::new(name) }
}

fn is_missing(line: &Map<String, Value>, field: &str) -> bool {
    line.get(field).is_none_or(Value::is_null)
}

fn or_else(line: &mut Map<String, Value>, field: &str, value: Value) {
    if is_missing(line, field) {
        line.insert(field.to_owned(), value);
    }
}

/// A reading without its value and without a reason was not recorded.
fn or_not_recorded(line: &mut Map<String, Value>, value: &str) {
    if is_missing(line, value) {
        or_else(line, "absent", AbsenceReason::NotRead.as_str().into());
        or_else(line, "detail", "not in the recording".into());
    }
}
