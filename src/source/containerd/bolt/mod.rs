//! What does a bbolt database hold under a key? A reader of a file that somebody else writes to: no lock, no write, no mapping.
//!
//! bbolt (go.etcd.io/bbolt) never changes a page that the last committed transaction uses: the next one writes to free pages
//! and then exchanges one of two meta pages. What was read under transaction T is whole if the newest meta page still says T
//! afterwards; otherwise it is read again. Its own lock is not taken: containerd holds it as long as it runs.
//!
//! The file belongs to a container and may be made to harm: every offset is checked, and one look reads a limited number of
//! bytes and levels, so that a cycle ends.

use std::cell::Cell;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use thiserror::Error;

/// An open database file.
#[derive(Debug)]
pub(super) struct Database(File);

/// The database as one transaction left it.
#[derive(Debug)]
pub(super) struct View<'a> {
    file: &'a File,
    meta: Meta,
    /// Bytes that may still be read.
    left: Cell<usize>,
}

/// A map of keys to values and further buckets.
#[derive(Debug, Clone)]
pub(super) enum Bucket {
    /// Pages of its own; the number of the first.
    Pages(u64),
    /// So small that it lies in its parent.
    Inline(Vec<u8>),
}

/// Why a look into a database gave nothing.
#[derive(Debug, Error)]
pub(super) enum BoltError {
    /// The file cannot be read.
    #[error("read")]
    Read(#[source] std::io::Error),
    /// It is no bbolt database, or a damaged one.
    #[error("{0}")]
    Malformed(&'static str),
    /// The limit of one look is reached.
    #[error("more pages than one look may read")]
    TooMuch,
    /// It was written to during each of several looks.
    #[error("it changes faster than it can be read")]
    Changing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Meta {
    page_size: usize,
    root: u64,
    transaction: u64,
}

/// A key with its value, which is empty for a bucket.
pub(super) type Entry = (Vec<u8>, Vec<u8>);

/// What lies under a key.
enum Item {
    Value(Vec<u8>),
    Bucket(Bucket),
}

/// A value in a page, by the places of its parts.
struct Element {
    key: Range<usize>,
    value: Range<usize>,
    is_bucket: bool,
    child: u64,
}

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// A page begins with its number (8 bytes), kind (2), number of elements (2) and of overflow pages (4).
const PAGE_HEADER: usize = 16;
const ELEMENT: usize = 16;
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const BUCKET_FLAG: u32 = 0x01;
/// A bucket's value begins with the number of its root page, 0 for an inline one, and a sequence.
const BUCKET_HEADER: usize = 16;
const META: usize = 64;
/// Page sizes of the machines that Kubernetes runs on: 4 KiB to 64 KiB.
const PAGE_SIZES: Range<usize> = 1_024..65_537;
/// A tree of a million entries has 4 levels.
const LEVELS: usize = 12;
/// One image takes some dozens of pages.
const BYTES: usize = 16 << 20;
/// The greatest page with its overflow: one value of this size.
const PAGE_BYTES: usize = 4 << 20;
const TRIES: usize = 3;

impl Database {
    pub(super) fn new(file: File) -> Self {
        Self(file)
    }

    /// What `look` finds in one transaction's state. It may be called several times.
    pub(super) fn read<T>(&self, look: impl Fn(&View<'_>) -> Result<T, BoltError>) -> Result<T, BoltError> {
        for _ in 0..TRIES {
            let meta = self.meta()?;
            let found = look(&View { file: &self.0, meta, left: Cell::new(BYTES) });
            if self.meta()? == meta {
                return found;
            }
        }
        Err(BoltError::Changing)
    }

    /// The newer of the two meta pages that are whole.
    fn meta(&self) -> Result<Meta, BoltError> {
        let first = self.meta_at(0);
        // The second lies one page further, and only the first tells how far that is; else the usual sizes are tried.
        let sizes = match &first {
            Ok(meta) => vec![meta.page_size],
            Err(_) => vec![4_096, 8_192, 16_384, 65_536],
        };
        let second = sizes.into_iter().filter_map(|size| self.meta_at(size).ok().filter(|meta| meta.page_size == size));
        match (first, second.max_by_key(|meta| meta.transaction)) {
            (Ok(first), Some(second)) if second.transaction > first.transaction => Ok(second),
            (Ok(first), _) => Ok(first),
            (Err(_), Some(second)) => Ok(second),
            (Err(error), None) => Err(error),
        }
    }

    fn meta_at(&self, offset: usize) -> Result<Meta, BoltError> {
        let mut bytes = [0; PAGE_HEADER + META];
        self.0.read_exact_at(&mut bytes, to_u64(offset)).map_err(BoltError::Read)?;
        let meta = bytes.get(PAGE_HEADER..).unwrap_or_default();
        if u32_at(meta, 0)? != MAGIC || u32_at(meta, 4)? != VERSION {
            return Err(BoltError::Malformed("not a bbolt database of version 2"));
        }
        if u64_at(meta, 56)? != fnv1a(meta.get(..56).unwrap_or_default()) {
            return Err(BoltError::Malformed("a meta page is damaged"));
        }
        let page_size = usize::try_from(u32_at(meta, 8)?).unwrap_or(0);
        if !PAGE_SIZES.contains(&page_size) {
            return Err(BoltError::Malformed("a page size that no machine has"));
        }
        Ok(Meta { page_size, root: u64_at(meta, 16)?, transaction: u64_at(meta, 48)? })
    }
}

impl View<'_> {
    /// The bucket at a path from the root; `None` where there is none.
    pub(super) fn bucket(&self, path: &[&[u8]]) -> Result<Option<Bucket>, BoltError> {
        self.bucket_in(&Bucket::Pages(self.meta.root), path)
    }

    /// The bucket at a path below another.
    pub(super) fn bucket_in(&self, bucket: &Bucket, path: &[&[u8]]) -> Result<Option<Bucket>, BoltError> {
        let mut bucket = bucket.clone();
        for key in path {
            match self.item(&bucket, key)? {
                Some(Item::Bucket(found)) => bucket = found,
                Some(Item::Value(_)) | None => return Ok(None),
            }
        }
        Ok(Some(bucket))
    }

    /// The value of a key; `None` where there is none.
    pub(super) fn value(&self, bucket: &Bucket, key: &[u8]) -> Result<Option<Vec<u8>>, BoltError> {
        match self.item(bucket, key)? {
            Some(Item::Value(value)) => Ok(Some(value)),
            Some(Item::Bucket(_)) | None => Ok(None),
        }
    }

    /// What a bucket has; at most `limit` entries, in order.
    pub(super) fn entries(&self, bucket: &Bucket, limit: usize) -> Result<Vec<Entry>, BoltError> {
        let mut found = Vec::new();
        match bucket {
            Bucket::Inline(page) => collect(page, &mut found, limit)?,
            Bucket::Pages(root) => {
                let mut ahead = vec![*root];
                while let Some(number) = ahead.pop() {
                    let page = self.page(number)?;
                    match kind(&page)? {
                        BRANCH => {
                            for index in (0..count(&page)?).rev() {
                                ahead.push(element(&page, index)?.child);
                            }
                        }
                        _ => collect(&page, &mut found, limit)?,
                    }
                    if found.len() >= limit {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }

    fn item(&self, bucket: &Bucket, key: &[u8]) -> Result<Option<Item>, BoltError> {
        let mut number = match bucket {
            Bucket::Inline(page) => return in_leaf(page, key),
            Bucket::Pages(root) => *root,
        };
        for _ in 0..LEVELS {
            let page = self.page(number)?;
            if kind(&page)? != BRANCH {
                return in_leaf(&page, key);
            }
            // The child of the last key that is not behind the one sought; the first child also has what is before its key.
            let not_behind = position(&page, |at| at <= key)?;
            number = element(&page, not_behind.saturating_sub(1))?.child;
        }
        Err(BoltError::Malformed("a tree of more levels than there can be"))
    }

    /// A page with its overflow pages.
    fn page(&self, number: u64) -> Result<Vec<u8>, BoltError> {
        let size = self.meta.page_size;
        let offset = number.checked_mul(to_u64(size)).ok_or(BoltError::Malformed("a page beyond the end"))?;
        let mut header = [0; PAGE_HEADER];
        self.file.read_exact_at(&mut header, offset).map_err(BoltError::Read)?;
        let pages = usize::try_from(u32_at(&header, 12)?).unwrap_or(usize::MAX).saturating_add(1);
        let bytes = size.saturating_mul(pages);
        let left = self.left.get().checked_sub(bytes).filter(|_| bytes <= PAGE_BYTES).ok_or(BoltError::TooMuch)?;
        self.left.set(left);
        let mut page = vec![0; bytes];
        self.file.read_exact_at(&mut page, offset).map_err(BoltError::Read)?;
        if u64_at(&page, 0)? != number || ![BRANCH, LEAF].contains(&kind(&page)?) {
            return Err(BoltError::Malformed("a page that is no part of a tree"));
        }
        Ok(page)
    }
}

fn in_leaf(page: &[u8], key: &[u8]) -> Result<Option<Item>, BoltError> {
    let index = position(page, |at| at < key)?;
    if index >= count(page)? {
        return Ok(None);
    }
    let element = element(page, index)?;
    if page.get(element.key) != Some(key) {
        return Ok(None);
    }
    let value = page.get(element.value).unwrap_or_default();
    if !element.is_bucket {
        return Ok(Some(Item::Value(value.to_vec())));
    }
    Ok(Some(Item::Bucket(match u64_at(value, 0)? {
        0 => Bucket::Inline(value.get(BUCKET_HEADER..).unwrap_or_default().to_vec()),
        root => Bucket::Pages(root),
    })))
}

fn collect(page: &[u8], found: &mut Vec<Entry>, limit: usize) -> Result<(), BoltError> {
    for index in 0..count(page)?.min(limit.saturating_sub(found.len())) {
        let element = element(page, index)?;
        let value = if element.is_bucket { Vec::new() } else { page.get(element.value).unwrap_or_default().to_vec() };
        found.push((page.get(element.key).unwrap_or_default().to_vec(), value));
    }
    Ok(())
}

/// The number of leading elements whose key satisfies the condition, which holds for a part at the front.
fn position(page: &[u8], holds: impl Fn(&[u8]) -> bool) -> Result<usize, BoltError> {
    let (mut low, mut high) = (0, count(page)?);
    while low < high {
        let middle = usize::midpoint(low, high);
        let key = element(page, middle)?.key;
        if holds(page.get(key).unwrap_or_default()) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// An element of a page: a key with a child page in a branch, a key with a value in a leaf.
fn element(page: &[u8], index: usize) -> Result<Element, BoltError> {
    let at = PAGE_HEADER + index * ELEMENT;
    let is_branch = kind(page)? == BRANCH;
    // Places are counted from the element's own.
    let (place, key_size, value_size) = if is_branch {
        (u32_at(page, at)?, u32_at(page, at + 4)?, 0)
    } else {
        (u32_at(page, at + 4)?, u32_at(page, at + 8)?, u32_at(page, at + 12)?)
    };
    let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let key_from = at.saturating_add(size(place));
    let key_to = key_from.saturating_add(size(key_size));
    let value_to = key_to.saturating_add(size(value_size));
    if value_to > page.len() {
        return Err(BoltError::Malformed("an element that leaves its page"));
    }
    Ok(Element {
        key: key_from..key_to,
        value: key_to..value_to,
        is_bucket: !is_branch && u32_at(page, at)? & BUCKET_FLAG != 0,
        child: if is_branch { u64_at(page, at + 8)? } else { 0 },
    })
}

fn kind(page: &[u8]) -> Result<u16, BoltError> {
    number_at(page, 8).map(u16::from_le_bytes)
}

fn count(page: &[u8]) -> Result<usize, BoltError> {
    number_at(page, 10).map(|bytes| usize::from(u16::from_le_bytes(bytes)))
}

/// bbolt writes numbers as its machine has them; Kubernetes runs on little-endian ones, but for s390x, where nothing is found.
fn u32_at(bytes: &[u8], at: usize) -> Result<u32, BoltError> {
    number_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, BoltError> {
    number_at(bytes, at).map(u64::from_le_bytes)
}

fn number_at<const SIZE: usize>(bytes: &[u8], at: usize) -> Result<[u8; SIZE], BoltError> {
    let part = bytes.get(at..).and_then(|rest| rest.first_chunk::<SIZE>());
    part.copied().ok_or(BoltError::Malformed("a page that is too short"))
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
