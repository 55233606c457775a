use super::*;
use flate2::read::GzDecoder;
use proptest::prelude::*;
use std::cell::RefCell;
use std::io::{Read, Write};

/// The metadata database of a containerd 1.7.24 that was given three images by `ctr images import`.
const METADATA: &[u8] = include_bytes!("../../../../tests/fixtures/containerd/meta.db.gz");

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}

fn database(bytes: &[u8]) -> Database {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Database::new(file)
}

fn names(view: &View<'_>, path: &[&[u8]]) -> Result<Vec<String>, BoltError> {
    let bucket = view.bucket(path)?.unwrap();
    let entries = view.entries(&bucket, 100)?;
    Ok(entries.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect())
}

#[test]
fn buckets_and_values_of_a_real_database_are_found() {
    let database = database(&unpacked(METADATA));
    assert_eq!(
        database.read(|view| names(view, &[b"v1", b"k8s.io"])).unwrap(),
        ["content", "images", "leases", "snapshots"]
    );
    let images = database.read(|view| names(view, &[b"v1", b"k8s.io", b"images"])).unwrap();
    assert_eq!(images.len(), 6);
    assert_eq!(images[0], "docker.io/test/a:dev");
    let of = |key: &[u8]| {
        database.read(|view| {
            let target = view.bucket(&[b"v1", b"k8s.io", b"images", b"docker.io/test/a:dev", b"target"])?.unwrap();
            view.value(&target, key)
        })
    };
    assert_eq!(
        of(b"digest").unwrap().unwrap(),
        b"sha256:5a08d5823168cdbdfdd3989d060736118b8f3d4817074d62947e2150d3349948"
    );
    assert_eq!(of(b"digesu").unwrap(), None);
    assert!(database.read(|view| view.bucket(&[b"v1", b"k8s.io", b"imagesx"])).unwrap().is_none());
}

/// Sets the transaction of the newest meta page to a later one, as a commit does.
fn commit(file: &File, transaction: u64) {
    let mut page = [0; 80];
    file.read_exact_at(&mut page, 0).unwrap();
    page[16 + 48..16 + 56].copy_from_slice(&transaction.to_le_bytes());
    let sum = fnv1a(&page[16..16 + 56]);
    page[16 + 56..16 + 64].copy_from_slice(&sum.to_le_bytes());
    file.write_all_at(&page, 0).unwrap();
}

#[test]
fn what_was_read_while_a_transaction_ended_is_read_again() {
    let database = database(&unpacked(METADATA));
    let seen = RefCell::new(Vec::new());
    let found = database.read(|view| {
        let first = seen.borrow().is_empty();
        seen.borrow_mut().push(view.meta.transaction);
        if first {
            commit(view.file, 1_000);
        }
        Ok(())
    });
    found.unwrap();
    assert_eq!(seen.borrow()[1..], [1_000]);

    let next = Cell::new(2_000);
    let busy = database.read(|view| {
        next.set(next.get() + 1);
        commit(view.file, next.get());
        Ok(())
    });
    assert!(matches!(busy, Err(BoltError::Changing)));
}

#[test]
fn a_damaged_meta_page_leaves_the_other_one() {
    let mut bytes = unpacked(METADATA);
    for damaged in [16, 4096 + 16] {
        let mut bytes = bytes.clone();
        bytes[damaged] ^= 1;
        database(&bytes).read(|view| names(view, &[b"v1"])).unwrap();
    }
    bytes[16] ^= 1;
    bytes[4096 + 16] ^= 1;
    let error = database(&bytes).read(|_| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), "not a bbolt database of version 2");
    assert!(database(b"").read(|_| Ok(())).is_err());
}

#[test]
fn a_cycle_of_pages_ends() {
    let bytes = unpacked(METADATA);
    let root = database(&bytes).read(|view| Ok(view.meta.root)).unwrap();
    let at = usize::try_from(root).unwrap() * 4096;
    let mut bytes = bytes;
    // A branch whose only child is itself.
    bytes[at + 8..at + 12].copy_from_slice(&[1, 0, 1, 0]);
    bytes[at + 16..at + 24].copy_from_slice(&[16, 0, 0, 0, 0, 0, 0, 0]);
    bytes[at + 24..at + 32].copy_from_slice(&root.to_le_bytes());
    let damaged = database(&bytes);
    assert!(damaged.read(|view| view.bucket(&[b"v1"])).is_err());
    let everything = damaged.read(|view| view.entries(&Bucket::Pages(root), 100));
    assert!(matches!(everything, Err(BoltError::TooMuch)));
}

/// Every bucket and value, as far as they can be reached.
fn walk(view: &View<'_>, bucket: &Bucket, depth: usize) {
    for (key, _) in view.entries(bucket, 1_000).unwrap_or_default() {
        drop(view.value(bucket, &key));
        if let (Ok(Some(inner)), true) = (view.bucket_in(bucket, &[&key]), depth < 8) {
            walk(view, &inner, depth + 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_databases_are_read_without_panic(damage in proptest::collection::vec((0_usize..100_000, any::<u8>()), 1..200)) {
        let mut bytes = unpacked(METADATA);
        for (at, value) in damage {
            // The meta pages are left, or nothing would be read at all.
            let at = 8_192 + at;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let damaged = database(&bytes);
        drop(damaged.read(|view| {
            walk(view, &Bucket::Pages(view.meta.root), 0);
            Ok(())
        }));
    }
}
