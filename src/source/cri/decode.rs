//! How does a reply become values without ever being in memory as a whole? The frame of gRPC is taken off, and the entries of a
//! list are decoded one by one while the bytes arrive.

use super::error::CriError;
use super::method::Method;
use super::reply::Weight;
use crate::access::socket::ReplyLimits;
use crate::source::listing::{Cut, Listing};
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use std::marker::PhantomData;

/// Whether more of the reply is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    More,
    /// A limit is reached; what was read so far stands.
    Enough,
}

/// Takes the bytes of one message as they arrive.
pub(super) trait Sink {
    fn push(&mut self, bytes: &[u8]) -> Result<Flow, Problem>;
    /// The message is complete.
    fn end(&mut self) -> Result<(), Problem>;
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    Malformed(&'static str),
    TooLarge(usize),
}

/// The frame of a unary reply: one byte "compressed", four bytes length, the message.
#[derive(Debug)]
pub(super) struct Framed<S> {
    method: Method,
    sink: S,
    prefix: Vec<u8>,
    /// Bytes of the message that are still to come; `None` while the prefix is incomplete.
    left: Option<usize>,
}

const PREFIX: usize = 5;

impl<S: Sink> Framed<S> {
    pub(super) fn new(method: Method, sink: S) -> Self {
        Self { method, sink, prefix: Vec::with_capacity(PREFIX), left: None }
    }

    /// Takes the next bytes of the body.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<Flow, CriError> {
        if self.left.is_none() {
            let (head, rest) = bytes.split_at(bytes.len().min(PREFIX - self.prefix.len()));
            self.prefix.extend_from_slice(head);
            bytes = rest;
            self.left = self.read_prefix()?;
        }
        let Some(left) = &mut self.left else { return Ok(Flow::More) };
        let Some(remaining) = left.checked_sub(bytes.len()) else {
            return Err(self.error(Problem::Malformed("more than one message")));
        };
        *left = remaining;
        self.sink.push(bytes).map_err(|problem| self.error(problem))
    }

    fn read_prefix(&self) -> Result<Option<usize>, CriError> {
        let &[compressed, a, b, c, d] = self.prefix.as_slice() else { return Ok(None) };
        if compressed != 0 {
            return Err(self.error(Problem::Malformed("a compressed message, which was not asked for")));
        }
        let length = u32::from_be_bytes([a, b, c, d]);
        Ok(Some(usize::try_from(length).unwrap_or(usize::MAX)))
    }

    /// The body is complete and its status is OK.
    pub(super) fn finish(mut self) -> Result<S, CriError> {
        match self.left {
            Some(0) => self.sink.end().map_err(|problem| self.error(problem)).map(|()| self.sink),
            Some(_) => Err(self.error(Problem::Malformed("the message is shorter than announced"))),
            None => Err(self.error(Problem::Malformed("no message"))),
        }
    }

    /// What was read so far.
    pub(super) fn into_sink(self) -> S {
        self.sink
    }

    fn error(&self, problem: Problem) -> CriError {
        let method = self.method;
        match problem {
            Problem::Malformed(problem) => CriError::Malformed { method, problem: problem.to_owned() },
            Problem::TooLarge(limit) => CriError::TooLarge { method, limit },
        }
    }
}

/// A small message, kept as a whole.
#[derive(Debug)]
pub(super) struct Whole {
    bytes: Vec<u8>,
    limit: usize,
}

impl Whole {
    pub(super) fn new(limits: &ReplyLimits) -> Self {
        // Nothing but lists is large: a reply like Version has a hundred bytes.
        Self { bytes: Vec::new(), limit: limits.item_bytes.min(limits.bytes) }
    }

    pub(super) fn decode<M: Message + Default>(&self, method: Method) -> Result<M, CriError> {
        M::decode(self.bytes.as_slice()).map_err(|e| CriError::Malformed { method, problem: e.to_string() })
    }
}

impl Sink for Whole {
    fn push(&mut self, bytes: &[u8]) -> Result<Flow, Problem> {
        if self.bytes.len().saturating_add(bytes.len()) > self.limit {
            return Err(Problem::TooLarge(self.limit));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(Flow::More)
    }

    fn end(&mut self) -> Result<(), Problem> {
        Ok(())
    }
}

/// A message that consists of one list, its field 1, whose entries are messages `M`, kept as `T`.
#[derive(Debug)]
pub(super) struct List<M, T> {
    items: Vec<T>,
    cut: Option<Cut>,
    unreadable: usize,
    /// Bytes that cannot be used before more arrive: less than one entry and its header.
    pending: Vec<u8>,
    /// Bytes of an unwanted field that are still to come.
    skip: u64,
    received: usize,
    kept: usize,
    limits: ReplyLimits,
    entry: PhantomData<fn(M)>,
}

/// What stands at the start of the pending bytes.
enum Next {
    /// Not enough bytes to tell.
    Incomplete,
    /// An entry; its bytes are from the first number to the second.
    Entry(usize, usize),
    /// Something unwanted: this many bytes of header, then this many of content; `bool`: it was an entry, but too large.
    Unwanted(usize, u64, bool),
}

impl<M, T> List<M, T> {
    pub(super) fn new(limits: &ReplyLimits) -> Self {
        Self {
            items: Vec::new(),
            cut: None,
            unreadable: 0,
            pending: Vec::new(),
            skip: 0,
            received: 0,
            kept: 0,
            limits: limits.clone(),
            entry: PhantomData,
        }
    }

    /// The list, with the reason why it is not complete.
    pub(super) fn finish(self) -> Listing<T> {
        let unreadable = (self.unreadable > 0).then_some(Cut::Unreadable(self.unreadable));
        Listing { items: self.items, cut: self.cut.or(unreadable) }
    }
}

impl<M: Message + Default, T: From<M> + Weight> Sink for List<M, T> {
    fn push(&mut self, bytes: &[u8]) -> Result<Flow, Problem> {
        self.received = self.received.saturating_add(bytes.len());
        self.pending.extend_from_slice(bytes);
        let mut start = 0;
        let flow = loop {
            let rest = self.pending.get(start..).unwrap_or_default();
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(rest.len());
            self.skip -= u64::try_from(skipped).unwrap_or(u64::MAX);
            start += skipped;
            let rest = rest.get(skipped..).unwrap_or_default();
            match next(rest, self.limits.item_bytes)? {
                Next::Incomplete => break Flow::More,
                Next::Unwanted(header, content, was_entry) => {
                    start += header;
                    self.skip = content;
                    self.unreadable += usize::from(was_entry);
                }
                Next::Entry(from, to) => {
                    if self.items.len() >= self.limits.items {
                        self.cut = Some(Cut::Items(self.limits.items));
                        break Flow::Enough;
                    }
                    start += to;
                    match M::decode(rest.get(from..to).unwrap_or_default()) {
                        Ok(message) => {
                            let item = T::from(message);
                            self.kept = self.kept.saturating_add(item.weight());
                            self.items.push(item);
                        }
                        Err(_) => self.unreadable += 1,
                    }
                    if self.kept > self.limits.bytes {
                        self.cut = Some(Cut::Bytes(self.limits.bytes));
                        break Flow::Enough;
                    }
                }
            }
        };
        self.pending.drain(..start);
        if flow == Flow::More && self.received > self.limits.bytes {
            self.cut = Some(Cut::Bytes(self.limits.bytes));
            return Ok(Flow::Enough);
        }
        Ok(flow)
    }

    fn end(&mut self) -> Result<(), Problem> {
        if self.pending.is_empty() && self.skip == 0 {
            Ok(())
        } else {
            Err(Problem::Malformed("the message ends inside an entry"))
        }
    }
}

/// Looks at the field that starts here.
fn next(bytes: &[u8], largest: usize) -> Result<Next, Problem> {
    const MALFORMED: Problem = Problem::Malformed("not a protobuf message");
    const LIST: u32 = 1;
    // A key and a length have at most ten bytes each; with fewer at hand a failure to read them may only mean "not yet".
    const HEADER: usize = 20;
    let mut rest = bytes;
    let incomplete = |_| if bytes.len() < HEADER { Ok(Next::Incomplete) } else { Err(MALFORMED) };
    let (field, wire) = match decode_key(&mut rest) {
        Ok(key) => key,
        Err(e) => return incomplete(e),
    };
    let length = match wire {
        WireType::LengthDelimited => match decode_varint(&mut rest) {
            Ok(length) => length,
            Err(e) => return incomplete(e),
        },
        WireType::Varint => match decode_varint(&mut rest) {
            Ok(_) => 0,
            Err(e) => return incomplete(e),
        },
        WireType::SixtyFourBit => 8,
        WireType::ThirtyTwoBit => 4,
        WireType::StartGroup | WireType::EndGroup => return Err(MALFORMED),
    };
    let header = bytes.len() - rest.len();
    let is_entry = field == LIST && wire == WireType::LengthDelimited;
    match usize::try_from(length) {
        Ok(size) if is_entry && size <= largest => {
            Ok(if size <= rest.len() { Next::Entry(header, header + size) } else { Next::Incomplete })
        }
        _ => Ok(Next::Unwanted(header, length, is_entry)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Image as Wire;
    use super::*;
    use crate::sample::Image;
    use proptest::prelude::*;

    fn limits() -> ReplyLimits {
        ReplyLimits { bytes: 1 << 16, items: 20, item_bytes: 200, ..ReplyLimits::default() }
    }

    /// Feeds the bytes in chunks of the given sizes, again and again, as a daemon might.
    fn read(bytes: &[u8], chunks: &[usize]) -> Result<Listing<Image>, Problem> {
        let mut list: List<Wire, Image> = List::new(&limits());
        let mut rest = bytes;
        for size in chunks.iter().cycle() {
            let (chunk, later) = rest.split_at((*size).min(rest.len()));
            rest = later;
            if list.push(chunk)? == Flow::Enough {
                return Ok(list.finish());
            }
            if rest.is_empty() {
                break;
            }
        }
        list.end()?;
        Ok(list.finish())
    }

    fn images(ids: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for id in ids {
            let body = Wire { id: (*id).to_owned(), ..Wire::default() }.encode_to_vec();
            prost::encoding::bytes::encode(1, &body, &mut bytes);
        }
        bytes
    }

    fn ids(listing: &Listing<Image>) -> Vec<&str> {
        listing.items.iter().map(|image| image.id.as_str()).collect()
    }

    #[test]
    fn entries_that_arrive_byte_by_byte_are_whole() {
        let listing = read(&images(&["one", "two", ""]), &[1]).unwrap();
        assert_eq!(ids(&listing), ["one", "two", ""]);
        assert!(listing.is_complete());
    }

    #[test]
    fn a_list_is_cut_at_the_first_entry_beyond_the_limit() {
        let exact = read(&images(&["x"; 20]), &[1_000]).unwrap();
        assert_eq!((exact.items.len(), exact.cut), (20, None));
        let more = read(&images(&["x"; 21]), &[1_000]).unwrap();
        assert_eq!((more.items.len(), more.cut), (20, Some(Cut::Items(20))));
    }

    #[test]
    fn an_entry_that_is_announced_as_larger_than_memory_is_skipped_and_not_kept() {
        let mut bytes = images(&["one"]);
        bytes.extend([0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        bytes.resize(70_000, 0);
        let listing = read(&bytes, &[4_096]).unwrap();
        assert_eq!((ids(&listing), listing.cut), (vec!["one"], Some(Cut::Bytes(65_536))));
        assert_eq!(
            read(bytes.get(..1_000).unwrap(), &[4_096]),
            Err(Problem::Malformed("the message ends inside an entry"))
        );
    }

    #[test]
    fn groups_and_endless_numbers_are_malformed() {
        assert_eq!(read(&[0x0b], &[1]), Err(Problem::Malformed("not a protobuf message")));
        assert_eq!(read(&[0xff; 100], &[7]), Err(Problem::Malformed("not a protobuf message")));
    }

    #[test]
    fn a_frame_may_be_split_anywhere() {
        let message = b"0123456789";
        let mut reply = vec![0, 0, 0, 0, 10];
        reply.extend_from_slice(message);
        for at in 0..=reply.len() {
            let mut framed = Framed::new(Method::Version, Whole::new(&limits()));
            let (head, tail) = reply.split_at(at);
            framed.push(head).unwrap();
            framed.push(tail).unwrap();
            assert_eq!(framed.finish().unwrap().bytes, message, "split at {at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same_bounded_answer(
            bytes in prop::collection::vec(any::<u8>(), 0..2_000),
            chunks in prop::collection::vec(1_usize..50, 1..10),
        ) {
            let whole = read(&bytes, &[usize::MAX]);
            if let Ok(listing) = &whole {
                prop_assert!(listing.items.len() <= 20);
            }
            // A list that is cut may be cut before a later fault is seen.
            match (read(&bytes, &chunks), whole) {
                (Ok(listing), Err(_)) => prop_assert!(!listing.is_complete()),
                (pieces, whole) => prop_assert_eq!(pieces, whole),
            }
        }

        #[test]
        fn what_is_encoded_is_decoded(names in prop::collection::vec("[a-z]{0,40}", 0..20), chunk in 1_usize..64) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let listing = read(&images(&names), &[chunk]).unwrap();
            prop_assert_eq!(ids(&listing), names);
            prop_assert!(listing.is_complete());
        }
    }
}
