use super::*;
use flate2::read::GzDecoder;
use std::io::Read;
use tempfile::TempDir;

/// Of a containerd 1.7.24 with three images of one common layer; `ctr images import --discard-unpacked-layers` loaded the third.
const METADATA: &[u8] = include_bytes!("../../../../tests/fixtures/containerd/meta.db.gz");
const SNAPSHOTS: &[u8] = include_bytes!("../../../../tests/fixtures/containerd/metadata.db.gz");
const SNAPSHOTTER: &str = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs";

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Of a containerd 2.4.2 with two images, of which a container runs one and mounts the other.
const METADATA_2: &[u8] = include_bytes!("../../../../tests/fixtures/containerd/meta-2.4.db.gz");
const SNAPSHOTS_2: &[u8] = include_bytes!("../../../../tests/fixtures/containerd/metadata-2.4.db.gz");

fn root() -> (TempDir, Root) {
    root_of(METADATA, SNAPSHOTS)
}

fn root_of(metadata_db: &[u8], snapshots_db: &[u8]) -> (TempDir, Root) {
    let dir = TempDir::new().unwrap();
    let below = dir.path().join(SNAPSHOTTER.trim_start_matches('/'));
    let metadata = below.parent().unwrap().join("io.containerd.metadata.v1.bolt");
    std::fs::create_dir_all(&below).unwrap();
    std::fs::create_dir_all(&metadata).unwrap();
    std::fs::write(metadata.join("meta.db"), unpacked(metadata_db)).unwrap();
    std::fs::write(below.join("metadata.db"), unpacked(snapshots_db)).unwrap();
    let root = Root::open(dir.path()).unwrap();
    (dir, root)
}

fn kept(id: &str) -> Vec<(String, u64)> {
    kept_below(&root().1, id)
}

fn kept_below(root: &Root, id: &str) -> Vec<(String, u64)> {
    let store = Store::open(root, Path::new(SNAPSHOTTER)).unwrap();
    let layers = store.layers(&id.into()).unwrap();
    let mut layers: Vec<_> =
        layers.into_iter().map(|layer| (layer.id.as_str().to_owned(), layer.bytes.get())).collect();
    layers.sort();
    layers
}

fn expected(layers: &[(&str, u64)]) -> Vec<(String, u64)> {
    layers.iter().map(|(id, bytes)| ((*id).to_owned(), *bytes)).collect()
}

#[test]
fn an_image_keeps_its_blobs_and_what_they_were_unpacked_to() {
    // Blobs as `ctr content ls` has them, snapshots as `ctr snapshots usage` has them.
    let first = kept("sha256:a1ab75ce8ff77d05c003e7a9540f018b28ed093b8cab5be902f7a1a076d8d9c8");
    let second = kept("sha256:ed50ffe4b7f3a0337162f3ae1c561e11bf7dfedbb20e59d20e49be44709706d5");
    assert_eq!(
        first,
        expected(&[
            ("blob:5a08d5823168cdbd", 577),
            ("blob:645fca703dc27697", 30_720),
            ("blob:98bcb95bcc0b1649", 20_480),
            ("blob:a1ab75ce8ff77d05", 263),
            ("unpacked:645fca703dc27697", 21 << 10),
            ("unpacked:ba1725ac9cf0658f", 10 << 10),
        ])
    );
    assert_eq!(
        second,
        expected(&[
            ("blob:645fca703dc27697", 30_720),
            ("blob:a18de336d885b7aa", 40_960),
            ("blob:d06df155fa9fa45c", 577),
            ("blob:ed50ffe4b7f3a033", 263),
            ("unpacked:645fca703dc27697", 21 << 10),
            ("unpacked:f7212faf5e1f533c", 31 << 10),
        ])
    );
}

#[test]
fn discarded_layers_are_not_kept_but_what_was_unpacked_is() {
    let third = kept("sha256:764b6585ae87e8461a3661799d41d43b612768e0ce6451808c90636d1ae3608d");
    assert_eq!(
        third,
        expected(&[
            ("blob:69ff2bf598290caf", 577),
            ("blob:764b6585ae87e846", 263),
            ("unpacked:645fca703dc27697", 21 << 10),
            ("unpacked:e4ec67c203bc2239", 6 << 10),
        ])
    );
}

#[test]
fn containerd_2_keeps_its_records_as_containerd_1_does() {
    const MOUNTED: &str = "sha256:4664c8ca913c5b8b0c29b7db4c82f7196518a89a52dbbfb58a44602e297dc3c8";
    // The layer in the archive had 6,225,920 bytes, and `ctr snapshots usage` says 6.0 MiB.
    let (_keep, root) = root_of(METADATA_2, SNAPSHOTS_2);
    assert_eq!(
        kept_below(&root, MOUNTED),
        expected(&[
            ("blob:4664c8ca913c5b8b", 427),
            ("blob:94d6705ce84990ef", 6_225_920),
            ("blob:96bdc4f5ccf8cc72", 422),
            ("unpacked:94d6705ce84990ef", 6_250_496),
        ])
    );
    let store = Store::open(&root, Path::new(SNAPSHOTTER)).unwrap();
    let container = "358e3b7923a19ae8f20b02a5b05a64a22e1d6d1a7e561366c51cb73fcc138b9b";
    assert_eq!(store.image_volumes(&container.into()).unwrap(), [MOUNTED.into()]);
    let sandbox = "176c92fac9516bb525c39bdb8868ecb489ea4eecb7aedd438cd3304f6be3dcc6";
    assert!(store.image_volumes(&sandbox.into()).is_err(), "it is no container of a pod");
}

#[test]
fn what_is_not_there_is_an_error_and_not_nothing() {
    let (keep, root) = root();
    let store = Store::open(&root, Path::new(SNAPSHOTTER)).unwrap();
    assert!(matches!(store.layers(&"sha256:00".into()), Err(StoreError::NoImage(_))));
    assert!(matches!(store.image_volumes(&"c1".into()), Err(StoreError::NoContainer(_))));
    assert!(matches!(Store::open(&root, Path::new("/var/lib/docker")), Err(StoreError::Elsewhere(_))));
    let other = Path::new("/var/lib/containerd/io.containerd.snapshotter.v1.native");
    assert!(matches!(Store::open(&root, other), Err(StoreError::Access(_))));
    let database = keep.path().join("var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db");
    std::fs::write(database, "not a database").unwrap();
    let damaged = Store::open(&root, Path::new(SNAPSHOTTER)).unwrap().layers(&"sha256:00".into()).unwrap_err();
    assert!(matches!(damaged, StoreError::Database { .. }), "{damaged}");
}

/// As containerd 2.3 writes it, with what is not read in between.
#[test]
fn images_mounted_as_volumes_stand_among_the_mounts_of_a_container() {
    let any = |json: &str| {
        let url = "github.com/containerd/cri/pkg/store/container/Metadata";
        let mut bytes = vec![0x0a, u8::try_from(url.len()).unwrap()];
        bytes.extend_from_slice(url.as_bytes());
        bytes.push(0x12);
        prost::encoding::encode_varint(u64::try_from(json.len()).unwrap(), &mut bytes);
        bytes.extend_from_slice(json.as_bytes());
        bytes
    };
    let with = |mounts: &str| {
        any(&format!(
            r#"{{"Version":"v1","Metadata":{{"ID":"c1","Name":"n","Config":{{"metadata":{{"name":"main"}},
            "image":{{"image":"sha256:1"}}{mounts}}},"ImageRef":"sha256:1"}}}}"#
        ))
    };
    let mounts = r#","mounts":[{"container_path":"/etc/hosts","host_path":"/x"},
        {"container_path":"/models","host_path":"/run/image-volumes/1","readonly":true,"image":{"image":"sha256:2"}}]"#;
    assert_eq!(image_volumes(&with(mounts)), Some(vec!["sha256:2".into()]));
    assert_eq!(image_volumes(&with("")), Some(Vec::new()));
    assert_eq!(image_volumes(&any("{}")), None);
    assert_eq!(image_volumes(b"\x12\xff"), None);
}

#[test]
fn numbers_are_read_as_go_writes_them() {
    assert_eq!(varint(&[0]), Some(Bytes::ZERO));
    assert_eq!(varint(&[0x80, 0x50]), Some(Bytes::new(5_120)));
    assert_eq!(varint(&[1]), None, "-1");
    assert_eq!(varint(&[]), None);
    assert_eq!(varint(&[0x80; 20]), None);
}
